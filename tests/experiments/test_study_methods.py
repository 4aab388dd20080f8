"""Ways to find a mask side by side, on a toy model: each row is what the method itself says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models

from tfvid.core.errors import TfvidError
from tfvid.experiments.study.methods import method_table
from tfvid.explain.masks.crop_search import CropSearch
from tfvid.explain.masks.objective import total_variation
from tfvid.explain.masks.temporal_mask import TemporalMask
from tfvid.metrics.localization import temporal_iou
from tfvid.perturb.temporal import freeze

OPTIONS = {"iterations": 5, "length_weight": 0.02, "batch_size": 2}
EVENTS = np.array([[1, 4], [-1, -1], [0, 6], [2, 3], [2, 5]])
NAMES = ["gradient, 5 steps", "search", "search, then 30 steps", "crop search", "random window"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = toy_models.build("functional")
    model.get_layer("head").kernel.assign(3 * model.get_layer("head").kernel)
    return model


@pytest.fixture(scope="module")
def clips():
    return toy_models.clips(5)


@pytest.fixture(scope="module")
def rows(model, clips):
    batches = ({"clip": clips[i : i + 3], "event": EVENTS[i : i + 3]} for i in (0, 3))
    return {row["method"]: row for row in method_table(model, batches, OPTIONS)}


@pytest.mark.long
def test_rows_are_what_the_methods_say(model, clips, rows):
    assert list(rows) == NAMES
    alone = {
        "gradient, 5 steps": TemporalMask(model, **OPTIONS)(clips),
        "search": TemporalMask(model, method="search", length_weight=0.02)(clips),
        "crop search": CropSearch(model, length_weight=0.02)(clips),
    }
    known = EVENTS[:, 0] >= 0
    for name, result in alone.items():
        row = rows[name]
        assert row["clips"] == row["loss"]["n"] == 5
        assert row["loss"]["mean"] == pytest.approx(result.loss.mean(), abs=1e-5)
        assert row["mask_length"]["mean"] == pytest.approx((result.mask > 0.5).sum(axis=1).mean())
        assert row["forward_passes"] == pytest.approx(result.forward_passes.mean())
        assert row["temporal_iou"]["n"] == 4
        assert row["temporal_iou"]["mean"] == pytest.approx(temporal_iou(result.mask, EVENTS)[known].mean())
        assert row["seconds"] > 0
    assert rows["crop search"]["forward_passes"] == 23
    assert 0 < rows["search, then 30 steps"]["backward_passes"] <= 54
    assert [rows[name]["backward_passes"] for name in NAMES if "then" not in name] == [5, 0, 0, 0]


@pytest.mark.long
def test_the_searched_window_has_the_lowest_loss_of_all_windows(rows):
    """For certain, of the methods that give a contiguous binary mask; and descending from it goes no higher."""
    loss = {name: row["loss"]["mean"] for name, row in rows.items()}
    assert loss["search"] < min(loss["crop search"], loss["random window"])
    assert loss["search, then 30 steps"] <= loss["search"] + 1e-5


@pytest.mark.long
def test_random_windows_are_as_long_as_the_learned_mask(model, clips, rows):
    assert rows["random window"]["mask_length"] == rows["gradient, 5 steps"]["mask_length"]
    assert rows["random window"]["forward_passes"] == 1
    # Where the learned mask is the full window, the random one is too, and its loss is known.
    full = {"iterations": 0, "init": "full"}
    row = method_table(model, [{"clip": clips}], full)[-1]
    mask = np.ones((5, 6), np.float32)
    scores = tf.nn.softmax(model(freeze(clips, mask))).numpy()
    predicted = model(clips).numpy().argmax(axis=1)
    costs = 0.01 * 6 + 0.02 * total_variation(mask).numpy() + scores[np.arange(5), predicted]
    assert row["loss"]["mean"] == pytest.approx(costs.mean(), abs=1e-5)


@pytest.mark.long
def test_without_events_or_clips(model, clips):
    one = method_table(model, [{"clip": clips[:1]}], {"iterations": 0})
    assert [row["temporal_iou"] for row in one] == [None] * 5
    assert all(row["loss"]["n"] == 1 and row["loss"]["std"] is None for row in one)
    assert method_table(model, []) == []


def test_a_score_that_cannot_be_searched(model, clips):
    with pytest.raises(TfvidError, match="needs score='probability'"):
        method_table(model, [{"clip": clips}], {"score": "logit"})
