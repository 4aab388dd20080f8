"""The trained models of ``../shared/data/models``, which Keras 2 saved, on the real video that comes with them."""

import numpy as np
import pytest
import tensorflow as tf

import tfvid

pytestmark = pytest.mark.long
FILES = (
    *("gestures_5/Conv2D+GRU.keras", "gestures_5/Conv2D+LSTM.keras", "gestures_5/Conv3D-32-64-128.keras"),
    *("ucf50_4/LRCN_model.h5", "ucf50_4/convlstm_model.h5", "ucf50_7/LRCN_model.h5", "ucf50_7/convlstm_model.h5"),
)


@pytest.mark.parametrize("file", FILES)
def test_a_trained_model_is_explained(file, shared_data):
    net = tfvid.load_model(shared_data / "models" / file)
    frames, *size = net.input_shape[1:4]
    clip = tfvid.read_clip(shared_data / "models" / "ucf50_7" / "Test_Video.mp4", frames, tuple(size))[None]
    result = tfvid.Gradient(net)(clip)
    with tf.GradientTape() as tape:
        x = tf.constant(clip)
        tape.watch(x)
        y = x
        for layer in net.layers[:-1]:
            y = layer(y, training=False)
        last = net.layers[-1]  # dense, with a softmax
        score = (y @ last.kernel + last.bias)[0, result.target[0]]
    gradient = np.abs(tape.gradient(score, x)).max(axis=-1)
    np.testing.assert_allclose(result.score, [score], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(result.attribution, gradient, rtol=1e-4, atol=1e-4 * gradient.max())
    mask = tfvid.TemporalMask(net, method="gradient", iterations=3)(clip).mask
    assert mask.shape == (1, frames) and ((mask >= 0) & (mask <= 1)).all()
    for method in ("grad_cam", "lrp", "deep_lift"):
        maps = tfvid.explainer(method, net)(clip).attribution
        assert maps.shape == (1, frames, *size) and np.isfinite(maps).all(), method
