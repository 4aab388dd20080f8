"""LayerCAM by hand."""

import numpy as np
from cam_by_hand import CLIP, by_hand

from tfvid.explain.cam.grad_cam import GradCAM
from tfvid.explain.cam.layer_cam import LayerCAM


def test_by_hand():
    """Frame 0: gradients (1, -2, 3, 2) at x, only those above zero count. Frame 1: 1 at x and 0.5 at -x everywhere."""
    model = by_hand(pooled=False)
    weights = np.zeros((2, 2, 2, 2, 2), np.float32)  # T, H, W, feature, class
    weights[0, ..., 0, 0] = [[1, -2], [3, 2]]
    weights[1, ..., 0, 0], weights[1, ..., 1, 0] = 1, 0.5
    model.get_layer("head").kernel.assign(weights.reshape(16, 2))
    result = LayerCAM(model, "conv", normalize=None)(CLIP, target=0)
    np.testing.assert_allclose(result.native, [[[[1, 0], [9, 8]], [[0, 0.5], [0, 2.5]]]])
    np.testing.assert_allclose(result.attribution, result.native)


def test_equals_grad_cam_where_gradients_are_the_same_everywhere_and_above_zero():
    np.testing.assert_allclose(LayerCAM(by_hand())(CLIP, 0).native, GradCAM(by_hand())(CLIP, 0).native, rtol=1e-6)


def test_evidence_against_the_class_is_nowhere():
    """d y_1 / d A = (-2, 3) / 8 at (x, -x): the first is against the class, the second takes away."""
    np.testing.assert_array_equal(LayerCAM(by_hand())(CLIP, target=1).attribution, np.zeros((1, 2, 2, 2)))
