"""The true effect of regions by intervention, on a score that is known."""

import numpy as np
import pytest

import tfvid
from tfvid.core.errors import TfvidError
from tfvid.metrics.effect import effect_correlation, region_energy, true_effects

WEIGHTS = np.arange(8, dtype=np.float32).reshape(2, 2, 2)  # of the regions


def linear(clips):
    """The sum of each region of 1 x 2 x 2 voxels, times 1 to 8."""
    return clips[..., 0].reshape(-1, 2, 2, 2, 2, 2).sum(axis=(3, 5)).reshape(-1, 8) @ (WEIGHTS.ravel() + 1)


def test_effects_of_a_linear_score_are_its_weights():
    """Each region of the clip has four ones, which become zeros: it loses 4 times its weight."""
    ones = np.ones((1, 2, 4, 4, 1), np.float32)
    others = np.zeros_like(ones)
    others[:, 0, :2, :2] = 1  # the first region is the same in both scenes

    effects = true_effects(linear, ones, others, (2, 2, 2))
    np.testing.assert_allclose(effects.ravel(), [0, 8, 12, 16, 20, 24, 28, 32])


def test_energy_is_the_positive_share():
    maps = np.zeros((2, 2, 4, 4), np.float32)
    maps[0, 0, 0, 0], maps[0, 1, 3, 3], maps[0, 1, 0, 0] = 3, 1, -5
    energy = region_energy(maps, (2, 2, 2))
    np.testing.assert_allclose(energy[0].ravel(), [0.75, 0, 0, 0, 0, 0, 0, 0.25])
    np.testing.assert_array_equal(energy[1], np.zeros((2, 2, 2)))


def test_correlation_is_of_ranks():
    effects = WEIGHTS[np.newaxis]
    maps = np.kron(effects**3, np.ones((1, 2, 2), np.float32))
    constant = np.ones_like(maps)
    found = [effect_correlation(of, effects)[0] for of in (maps, maps.max() - maps, constant)]
    np.testing.assert_allclose(found, [1, -1, 0], atol=1e-6)


def test_bad_shapes():
    clip = np.ones((1, 2, 4, 4, 1), np.float32)
    with pytest.raises(TfvidError, match="others: expected the shape of the clips"):
        true_effects(linear, clip, clip[:, :1])
    with pytest.raises(TfvidError, match=r"grid: expected 3 numbers from 1 to the clip's \(2, 4, 4\), got \(3, 1, 1\)"):
        true_effects(linear, clip, clip, (3, 1, 1))


@pytest.mark.parametrize("name", ["Moving something up", "Moving something down", "Something disappearing"])
def test_shapes_without_their_objects_or_motion(name):
    """Without its objects a scene changes in their boxes; without motion it is at rest, as before the event."""

    def clip(without):
        data = tfvid.MovingShapes(classes=[name], without=without)
        return data.read(data.samples("validation")[3], 8, (32, 32))

    whole, empty, still = (clip(without) for without in ("", "objects", "motion"))
    inside = tfvid.metrics.localization.inside_boxes(whole.boxes[np.newaxis], 32, 32)[0]
    changed = np.abs(whole.frames.astype(int) - empty.frames).max(axis=-1)
    assert changed[inside].max() > 30 and changed[~inside].max() <= 14  # a box ends where opacity falls below 5 %
    start = whole.event[0]
    np.testing.assert_array_equal(still.frames[:start], whole.frames[:start])
    assert np.abs(np.diff(still.frames.astype(int), axis=0)).max() < 30  # the noise of the camera
    assert np.abs(whole.frames.astype(int) - still.frames).max() > 30
    np.testing.assert_array_equal(empty.event, whole.event)


def test_unknown_intervention():
    with pytest.raises(TfvidError, match="unknown moving-shapes intervention 'object'"):
        tfvid.MovingShapes(without="object")
