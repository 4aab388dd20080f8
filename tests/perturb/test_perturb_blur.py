"""Blurring frames by a mask over time, by itself and in the learned temporal mask."""

import numpy as np
import pytest
import tensorflow as tf
import toy_models

from tfvid import export
from tfvid.core.errors import TfvidError
from tfvid.experiments.explain_clips import explain_clips
from tfvid.experiments.explanation_summary import finish
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.stem import Mixtures, find_stem
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.perturb.blur import blur
from tfvid.perturb.fill import blurred
from tfvid.perturb.temporal import MATRICES
from tfvid.report.media import Films
from tfvid.results.result_store import read_results


def test_frames_are_mixed_with_their_blurred_selves():
    clips = tf.constant(toy_models.clips(2))
    mask = np.array([[0, 1, 0.5, 0, 0, 0.25], [1, 0, 0, 0, 0, 1]], np.float32)
    result, away = blur(clips, mask), blurred(clips)
    np.testing.assert_array_equal(result[0, 0], clips[0, 0])
    np.testing.assert_allclose(result[0, 1], away[0, 1], atol=1e-6)
    np.testing.assert_allclose(result[1, 0], away[1, 0], atol=1e-6)
    np.testing.assert_allclose(result[0, 2], (clips[0, 2] + away[0, 2]) / 2, atol=1e-6)
    np.testing.assert_allclose(result[0, 5], 0.75 * clips[0, 5] + 0.25 * away[0, 5], atol=1e-6)


def test_dtypes():
    mask = [[0.0, 1.0]]
    assert blur(np.full((1, 2, 4, 4, 1), 200, np.uint8), mask).dtype == tf.float32
    np.testing.assert_allclose(
        blur(np.full((1, 2, 4, 4, 1), 200, np.uint8), mask), np.full((1, 2, 4, 4, 1), 200.0), rtol=1e-5
    )
    for dtype in (tf.bfloat16, tf.float16, tf.float64):
        assert blur(tf.ones((1, 2, 4, 4, 1), dtype), mask).dtype == dtype
    with pytest.raises(TfvidError, match="single frame"):
        blur(np.ones((1, 1, 4, 4, 1), np.float32), [[1.0]])


def test_it_is_no_mixture_of_frames_and_the_stem_stays_out():
    """The clips themselves are perturbed, though the model has a first convolution to share."""
    model, clips = toy_models.build("functional"), tf.constant(toy_models.clips(2))
    explain = TemporalMask(model, "blur", iterations=1)
    explain.prepare(clips)
    assert blur not in MATRICES
    assert find_stem(explain.classifier, clips) is not None
    mask = tf.constant(np.random.default_rng(0).random((2, 6), np.float32))
    mixtures = Mixtures(explain.classifier, explain.evaluator.stem, clips)
    np.testing.assert_allclose(mixtures(blur, mask, "logit"), model(blur(clips, mask)), atol=1e-5)


@pytest.mark.parametrize("method", ["gradient", "search", "search+gradient"])
def test_every_way_to_find_a_mask_takes_it(method):
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    result = TemporalMask(model, "blur", method=method, iterations=0 if method == "search" else 10)(clips)
    classifier = TemporalMask(model).classifier
    classifier.prepare(tf.constant(clips))
    terms = Objective("blur")(Mixtures(classifier, None, tf.constant(clips)), result.mask, result.target)
    np.testing.assert_allclose(result.loss, terms.loss, atol=1e-5)
    assert (result.loss <= result.original_score + 0.1).all()
    if method == "search":  # windows with the first frame count, too: it can be blurred
        assert (result.forward_passes >= 4).all()
        everywhere = [
            Objective("blur")(Mixtures(classifier, None, tf.constant(clips)), m, result.target) for m in windows()
        ]
        best = np.min([terms.loss for terms in everywhere], axis=0)
        np.testing.assert_allclose(result.loss, np.minimum(best, result.original_score), atol=1e-5)


def windows():
    for start in range(6):
        for stop in range(start + 1, 7):
            mask = np.zeros((2, 6), np.float32)
            mask[:, start:stop] = 1
            yield tf.constant(mask)


@pytest.mark.long
def test_a_run_of_explanations_shows_it(tmp_path):
    """Films of blurred frames, and beside them those of the reversed ones; FS and RS are told as ever."""
    model, clips = toy_models.build("functional"), toy_models.clips(2)
    batch = {"clip": clips, "id": np.array([b"a", b"b"])}
    options = {"perturbation": "blur", "iterations": 2}
    films = Films(("webp",))
    explain_clips(model, [batch], tmp_path, name="net", class_names=tuple("xyz"), mask=options, films=films)
    results = read_results(tmp_path)
    expected = TemporalMask(model, **options)(clips)
    np.testing.assert_allclose([r.mask for r in results], expected.mask, atol=1e-3)
    np.testing.assert_allclose([r.freeze_score for r in results], expected.freeze_score, atol=1e-3)
    assert all(r.perturbation == "blur" and r.webp and r.reversed for r in results)
    assert '"Grad-CAM","blurred"' in finish(tmp_path).read_text(encoding="utf-8")


@pytest.mark.long
def test_an_exported_model_learns_with_it(tmp_path):
    model, clips, options = (
        toy_models.build("functional"),
        toy_models.clips(2),
        {"perturbation": "blur", "iterations": 3},
    )
    exported = export.load(export.save(model, tmp_path / "net", mask=options))
    np.testing.assert_allclose(
        exported.temporal_mask(clips).mask, TemporalMask(model, **options)(clips).mask, atol=1e-4
    )
