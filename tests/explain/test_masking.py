"""What holds for every method by masked clips: bounded batches, the same result however they are cut."""

import numpy as np
import pytest
import toy_models
from toy_scores import CLIP, PLAINLY, linear

from tfvid.explain.pixels import masking
from tfvid.explain.pixels.kernel_shap import KernelSHAP
from tfvid.explain.pixels.lime import LIME
from tfvid.explain.pixels.masking import weighted_mean
from tfvid.explain.pixels.occlusion import Occlusion
from tfvid.explain.pixels.rise import RISE
from tfvid.explain.pixels.shapley import Shapley

METHODS = {
    "occlusion": lambda model, **options: Occlusion(model, window=(3, 8, 4), **options),
    "rise": lambda model, **options: RISE(model, masks=20, **options),
    "lime": lambda model, **options: LIME(model, samples=20, **options),
    "shapley": lambda model, **options: Shapley(model, (2, 2, 1), **options),
    "kernel_shap": lambda model, **options: KernelSHAP(model, samples=24, segments="frames", **options),
}


@pytest.mark.parametrize("method", METHODS)
def test_batches_bound_what_the_model_sees_and_change_nothing(method):
    network = toy_models.build("functional")
    clips, seen = toy_models.clips(2), []

    def model(clips):
        seen.append(len(clips))
        return network(clips, training=False).numpy()

    results = {}
    for batch_size in (1, 3, 100):
        results[batch_size] = METHODS[method](model, batch_size=batch_size)(clips, [1, 2])
        assert max(seen[1:]) <= batch_size  # the first call asks what the model returns, two clips at most
        assert sum(seen[1:]) == results[batch_size].forward_passes.sum()
        seen.clear()
    for batch_size in (3, 100):
        np.testing.assert_allclose(results[batch_size].attribution, results[1].attribution, atol=1e-5)
    alone = METHODS[method](model, batch_size=3)(clips[1:], 2)
    np.testing.assert_allclose(alone.attribution[0], results[1].attribution[1], atol=1e-5)
    assert results[1].attribution.std() > 1e-5  # it does tell something


@pytest.mark.parametrize("method", ["rise", "lime", "kernel_shap"])
def test_the_seed_decides_the_draws(method):
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    maps = [METHODS[method](model, seed=seed, batch_size=100)(clips).attribution for seed in (0, 0, 1)]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)
    assert np.abs(maps[0] - maps[2]).max() > 1e-4


def test_probability_or_logit():
    model, clips = toy_models.build("functional"), toy_models.clips(1)
    logits = model(clips, training=False).numpy()[0]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    for score, expected in (("logit", logits), ("probability", probabilities)):
        np.testing.assert_allclose(Occlusion(model, "frame", score=score)(clips, 1).score, expected[1], rtol=1e-5)


def test_weighted_mean_by_hand():
    """Voxel 0: (1 * 2 + .5 * 4) / 1.5; voxel 1: only the second mask; voxel 2: none."""
    masks = np.array([[1, 0, 0], [0.5, 1, 0]], np.float32).reshape(2, 1, 1, 3)
    scores = np.array([2, 4], np.float32)
    np.testing.assert_allclose(weighted_mean([(masks, scores)])[0, 0], [8 / 3, 4, 0], rtol=1e-6)
    halves = [(masks[:1], scores[:1]), (masks[1:], scores[1:])]
    np.testing.assert_allclose(weighted_mean(halves)[0, 0], [8 / 3, 4, 0], rtol=1e-6)


def test_long_work_shows_a_bar_unless_told_not_to(monkeypatch, capsys):
    explain = {
        progress: Occlusion(linear([1, 1, 1, 1]), "frame", progress=progress, batch_size=1, **PLAINLY)
        for progress in (True, False)
    }
    explain[True](CLIP)
    assert capsys.readouterr().err == ""  # done before anyone asks
    monkeypatch.setattr(masking, "SILENT_SECONDS", 0)
    explain[False](CLIP)
    assert capsys.readouterr().err == ""
    explain[True](CLIP)
    assert "Occlusion" in capsys.readouterr().err
