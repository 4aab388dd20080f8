"""The two models: the paper's parameter counts, shapes and names."""

import keras
import numpy as np
import pytest

import tfvid
from tfvid.core.errors import ModelError


def trainable(model) -> int:
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_i3d_is_the_papers():
    model = tfvid.I3D(174)
    assert trainable(model) == 12_465_614
    assert model.get_layer("Mixed_5c").output.shape == (None, 8, 7, 7, 1024)
    assert model.input_shape == (None, 16, 224, 224, 3) and model.output_shape == (None, 174)


def test_i3d_with_the_original_time_strides():
    model = tfvid.I3D(400, num_frames=None, size=(None, None), temporal_strides=(2, 2, 2))
    assert model.compute_output_shape((1, 64, 224, 224, 3)) == (1, 400)
    features = keras.Model(model.input, model.get_layer("Mixed_5c").output)
    assert features.compute_output_shape((1, 64, 224, 224, 3)) == (1, 8, 7, 7, 1024)


def test_conv_lstm_is_the_papers():
    assert trainable(tfvid.ConvLSTM(174)) == 1_324_014
    assert trainable(tfvid.ConvLSTM(174, shared_batch_norm=False)) == 1_324_142
    assert tfvid.ConvLSTM(174).get_layer("conv_lstm_3").output.shape == (None, 16, 7, 7, 32)


def test_conv_lstm_for_kth():
    model = tfvid.ConvLSTM(6, 32, (120, 160), blocks=2, dropout=0.5)
    # By hand: 4 gates x (5x5x(3 + 32) + 1) x 32, 4 x (5x5x64 + 1) x 32, one shared batch norm (2 x 32), and
    # 32 frames x 7 x 10 places x 32 filters -> 6 classes.
    assert trainable(model) == 128 * (25 * 35 + 1) + 128 * (25 * 64 + 1) + 64 + (32 * 7 * 10 * 32 + 1) * 6
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == ["dropout_1"]


@pytest.mark.parametrize("depth, side", [(2, 8), (7, 4), (9, 2)])
def test_i3d_depth_sets_the_last_feature_map(depth, side):
    model = tfvid.I3D(5, 8, (64, 64), width=0.125, depth=depth)
    last = [layer for layer in model.layers if layer.name.startswith("Mixed_") and "." not in layer.name][-1]
    assert last.output.shape[2:4] == (side, side)


@pytest.mark.parametrize("build", [tfvid.I3D, tfvid.ConvLSTM])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_and_weights_too(build, policy):
    small = {"width": 0.125, "depth": 1} if build is tfvid.I3D else {"filters": 4, "blocks": 1}
    model = build(3, 4, (32, 32), dtype=policy, **small)
    logits = model(np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32))
    assert logits.dtype == "float32" and logits.shape == (2, 3)
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_i3d_takes_any_length_and_size():
    model = tfvid.I3D(3, None, (None, None), width=0.125, depth=1)
    for shape in [(1, 4, 32, 32, 3), (1, 7, 40, 24, 3)]:
        assert model(np.zeros(shape, np.float32)).shape == (1, 3)


def test_what_cannot_be_built_is_named():
    with pytest.raises(ModelError, match="1 to 9 Inception modules, got 10"):
        tfvid.I3D(3, depth=10)
    with pytest.raises(ModelError, match="3 blocks halve frames 6 times; .32, 64. is too small"):
        tfvid.ConvLSTM(3, size=(32, 64))
    assert tfvid.ConvLSTM(3, 2, size=(43, 64), filters=2).get_layer("pool_3").output.shape[2:4] == (1, 1)
