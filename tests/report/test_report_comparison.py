"""One clip as two models see it, drawn from a run's files."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tfvid.core.errors import DataError, TfvidError
from tfvid.report.comparison import draw_comparison, write_comparisons
from tfvid.report.film import panels
from tfvid.report.media import Films, write_media
from tfvid.report.reel import read_reel, save_reel
from tfvid.results.result_store import Result, ResultStore

KINDS = ("clip", "heat", "perturbed")
MASKS = {"i3d": [0, 0, 1, 1, 0], "clstm": [0, 1, 1, 1, 1]}


def result(id, model, label, predicted, mask=None):
    names = ("left", "right", "up")
    mask = np.array(MASKS[model] if mask is None else mask, np.float32)
    return Result(
        id=id,
        model=model,
        path="",
        label=label,
        label_name=names[label],
        predicted=predicted,
        predicted_name=names[predicted],
        target=predicted,
        target_name=names[predicted],
        perturbation="freeze",
        original_score=0.9,
        freeze_score=0.1,
        reverse_score=0.5,
        true_score=0.9,
        mask=mask,
        mask_length=int(mask.sum()),
        loss=0.2,
        length_term=0.05,
        variation_term=0.05,
        score_term=0.1,
        iterations=3,
        full_drop=0.8,
        map=np.ones((5, 2, 2), np.float32),
        size=(20, 30),
        event=(1, 4),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Clips of a grey of their own; of the first class the first clip is taken for another by one model."""
    folder = tmp_path_factory.mktemp("run")
    store = ResultStore(folder)
    predicted = {"a": (0, 1), "b": (0, 0), "c": (0, 0), "d": (1, 1), "e": (2, 2)}
    labels = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 2}
    for place, model in enumerate(MASKS):
        for index, (id, answers) in enumerate(predicted.items()):
            record = result(id, model, labels[id], answers[place])
            if id != "e" or model == "i3d":  # the last one was not filmed for both
                clip = np.full((5, 20, 30, 3), 40 * index + 30, np.uint8)
                record = write_media(record, folder, clip, {"grad_cam": np.zeros((5, 2, 2))}, clip, None, Films(()))
            store.append([record])
    return folder


def test_a_reel_is_read_back(tmp_path):
    """100 frames stand in two columns of fifty; every panel and frame has a grey of its own."""
    frames = np.arange(100, dtype=np.uint8)[:, np.newaxis, np.newaxis, np.newaxis] * np.ones((1, 200, 200, 3), np.uint8)
    columns = panels(frames, {"grad_cam": np.zeros((100, 2, 2))}, frames + 100)
    back = read_reel(save_reel(tmp_path / "reel.webp", columns), 100, (200, 200))
    assert back.shape == (3, 100, 200, 200, 3) and back.dtype == np.uint8
    middles = back[:, :, 100, 100].astype(int)
    np.testing.assert_allclose(middles[0], frames[:, 0, 0], atol=3)
    np.testing.assert_allclose(middles[2], frames[:, 0, 0] + 100, atol=3)
    with pytest.raises(DataError, match="expected a reel of 100 frames of 210x200 pixels, got 1200x10000"):
        read_reel(tmp_path / "reel.webp", 100, (200, 210))
    (tmp_path / "broken.webp").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="broken.webp: cannot read this reel"):
        read_reel(tmp_path / "broken.webp", 100, (200, 200))


def test_the_clip_once_and_a_block_for_each_model(run):
    results = [
        dataclasses.replace(result("b", model, 0, 0), reel=f"reels/{model}/b.webp", reel_panels=KINDS)
        for model in MASKS
    ]
    pixels = np.asarray(draw_comparison(run, results)).astype(int)
    grey = (np.abs(pixels - 70).max(axis=-1) <= 2).sum(axis=1) > 5 * 100
    starts = np.flatnonzero(np.diff(grey.astype(int)) == 1)
    assert len(starts) == 3  # the clip, and a map of nothing over it for each model
    assert (grey.sum(), len(grey)) == (3 * round(136 * 20 / 30), len(pixels))
    # Under the maps of a model, its strip: as many red cells as its mask has frames.
    red = (np.abs(pixels - [216, 58, 52]).max(axis=-1) <= 2).sum(axis=1)
    first, second = red[starts[1] : starts[2]].max(), red[starts[2] :].max()
    assert second == pytest.approx(2 * first, abs=4)


def test_the_first_clips_that_all_get_right(run):
    files = write_comparisons(run, list(MASKS))
    assert [file.name for file in files] == ["clip_b.png", "clip_d.png"]
    assert all(Image.open(file).size[0] > 5 * 136 for file in files)
    assert [file.name for file in write_comparisons(run, list(MASKS), count=1)] == ["clip_b.png"]
    assert [file.name for file in write_comparisons(run, ["i3d"])] == ["clip_a.png", "clip_d.png", "clip_e.png"]
    assert sorted(file.name for file in (run / "figures").iterdir()) == ["clip_a.png", "clip_d.png", "clip_e.png"]


def test_what_cannot_be_compared(run, tmp_path):
    one = dataclasses.replace(result("b", "i3d", 0, 0), reel="reels/i3d/b.webp")
    with pytest.raises(TfvidError, match="expected reels of one clip, b; got one of c"):
        draw_comparison(run, [one, dataclasses.replace(one, id="c")])
    with pytest.raises(TfvidError, match="got none by clstm"):
        draw_comparison(run, [one, dataclasses.replace(one, model="clstm", reel="")])
    assert write_comparisons(tmp_path, ["i3d"]) == []
