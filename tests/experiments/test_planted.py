"""Networks with a planted truth: only the reach of the tube changes the scores, and gradients stay in it."""

import numpy as np
import pytest

from tfvid.core.errors import TfvidError
from tfvid.experiments.attribution.planted import NETWORKS, SHAPE, outside_energy, planted, table
from tfvid.explain import explainer

CLIPS = np.random.default_rng(0).random((1, *SHAPE), np.float32)


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_the_scores_depend_on_the_reach_and_on_nothing_else(kind):
    network = planted(kind)
    other = np.random.default_rng(1).random(CLIPS.shape, np.float32)
    reach = network.reach[np.newaxis, ..., np.newaxis]
    scores, outside, inside = (
        network.model(clips, training=False).numpy()
        for clips in (CLIPS, np.where(reach, CLIPS, other), np.where(reach, other, CLIPS))
    )
    np.testing.assert_allclose(outside, scores, rtol=1e-5)
    assert np.abs(inside - scores).max() > 1e-3


@pytest.mark.parametrize("kind", list(NETWORKS))
@pytest.mark.parametrize(
    "name, options",
    [
        ("gradient", {}),
        ("gradient_x_input", {}),
        ("integrated_gradients", {"steps": 2}),
        ("expected_gradients", {"samples": 2}),
        ("smooth_grad", {"samples": 2}),
    ],
)
def test_gradients_have_no_energy_outside_and_every_edge_of_the_reach(name, options, kind):
    network = planted(kind)
    maps = explainer(name, network.model, **options)(CLIPS, 0).attribution
    np.testing.assert_array_equal(outside_energy(maps, network.reach), [0])
    assert (maps[0] != 0)[network.reach].mean() > 0.99


def test_share_of_energy_by_hand():
    reach = np.zeros((1, 1, 4), bool)
    reach[..., 1] = True
    maps = np.array([[1, -3, 0, 0], [0, 0, 0, 0], [-1, 0, 0, 1]], np.float32).reshape(3, 1, 1, 4)
    np.testing.assert_allclose(outside_energy(maps, reach), [0.25, np.nan, 1])


def test_table_and_errors():
    text = table(1, names=["gradient", "attention_maps"])
    assert "| gradient | 0.00 | 0.00 | 0.00 |" in text
    assert "| attention\\_maps | – | – | – |" in text
    with pytest.raises(TfvidError, match="unknown planted network 'mlp'; valid: conv3d, frame_cnn, conv_lstm"):
        planted("mlp")
    with pytest.raises(TfvidError, match="tube: expected 0 <= start < stop <="):
        planted("conv3d", tube=((0, 9), (0, 1), (0, 1)))
