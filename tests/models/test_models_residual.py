"""R(2+1)D and CNN-LSTM: published parameter counts, shapes, options, save and reload."""

import keras
import numpy as np
import pytest

from tfvid.core.errors import ModelError, TfvidError
from tfvid.models import MODELS
from tfvid.models.cnn_lstm import CNNLSTM
from tfvid.models.r2plus1d import R2Plus1D, middle_filters

SMALL = {
    R2Plus1D: {"blocks": (1, 1), "temporal_strides": (1, 2), "width": 0.125},
    CNNLSTM: {"blocks": (1, 1), "width": 0.125, "units": 8},
}
both = pytest.mark.parametrize("build", SMALL)


def trainable(model) -> int:
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_r2plus1d_is_the_published_one():
    """31,505,325 with 400 classes is what torchvision's documentation gives for r2plus1d_18 (KINETICS400_V1)."""
    total = (49 * 3 * 45 + 2 * 45) + (3 * 45 * 64 + 2 * 64)  # the stem: 1x7x7, batch norm, 3x1x1, batch norm
    before = 64
    for filters in (64, 128, 256, 512):
        for _ in (1, 2):
            middle = 27 * before * filters // (9 * before + 3 * filters)
            for inputs in (before, filters):
                total += 9 * inputs * middle + 2 * middle + 3 * middle * filters + 2 * filters
            if before != filters:
                total += before * filters + 2 * filters  # the shortcut
            before = filters
    total += 512 * 400 + 400
    model = R2Plus1D(400)
    assert trainable(model) == total == 31_505_325
    assert model.get_layer("stage4_block2").output.shape == (None, 2, 7, 7, 512)


def test_middle_filters():
    """By hand, the equation with t = d = 3: as many weights as 3x3x3, 27 N N', as near as a whole M allows."""
    assert [middle_filters(64, 64), middle_filters(64, 128), middle_filters(128, 128)] == [144, 230, 288]
    assert (9 * 64 + 3 * 64) * 144 == 27 * 64 * 64


def test_cnn_lstm_is_a_resnet_and_an_lstm():
    """ResNet-18 has 11,689,512 parameters with 1000 classes (torchvision): 513,000 of them the classifier's."""
    model = CNNLSTM(1000)
    lstm = 4 * ((512 + 256) * 256 + 256)
    assert trainable(model) == (11_689_512 - 513_000) + lstm + 257 * 1000
    assert model.get_layer("stage4_block2").output.shape == (None, 16, 7, 7, 512)


def test_cnn_lstm_sees_frames_one_by_one():
    """What the encoder makes of a frame does not depend on the frames beside it."""
    model = CNNLSTM(3, 4, (32, 32), **SMALL[CNNLSTM])
    features = keras.Model(model.input, model.get_layer("features").output)
    clips = np.random.default_rng(0).random((1, 4, 32, 32, 3), np.float32)
    changed = clips.copy()
    changed[:, 1] = 0
    before, after = features.predict(clips, verbose=0), features.predict(changed, verbose=0)
    np.testing.assert_allclose(after[:, [0, 2, 3]], before[:, [0, 2, 3]], atol=1e-6)
    assert abs(after - before)[:, 1].max() > 1e-3


@both
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_and_weights_too(build, policy):
    model = build(3, 4, (32, 32), dtype=policy, **SMALL[build])
    logits = model(np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32))
    assert logits.dtype == "float32" and logits.shape == (2, 3)
    assert {w.dtype for w in model.trainable_weights} == {"float32"}


@both
def test_any_length_and_size(build):
    model = build(3, None, (None, None), **SMALL[build])
    for shape in [(1, 4, 32, 32, 3), (1, 5, 40, 24, 3)]:
        assert model(np.zeros(shape, np.float32)).shape == (1, 3)


@both
def test_saved_and_reloaded(build, tmp_path):
    model = build(3, 4, (32, 32), dropout=0.5, **SMALL[build])
    clips = np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(reloaded(clips), model(clips), atol=1e-6)


def test_options():
    model = R2Plus1D(5, 8, (64, 64), blocks=(1, 2, 1), temporal_strides=(1, 2, 1), width=0.25)
    assert model.get_layer("stage3_block1").output.shape == (None, 4, 8, 8, 64)
    assert model.get_layer("stage2_block2").output.shape == (None, 4, 16, 16, 32)
    flat = CNNLSTM(5, 8, (64, 64), blocks=(1, 1), width=0.125, pooling="flatten", units=8)
    assert flat.get_layer("features").output.shape == (None, 8, 8 * 8 * 16)
    assert MODELS.find("r2plus1d") is R2Plus1D and MODELS.find("cnn_lstm") is CNNLSTM


def test_what_cannot_be_built_is_named():
    with pytest.raises(ModelError, match="R2Plus1D: expected blocks for 1 to 4 stages"):
        R2Plus1D(3, blocks=(1,) * 5, temporal_strides=(1,) * 5)
    with pytest.raises(ModelError, match="expected 2 temporal_strides, one per stage"):
        R2Plus1D(3, blocks=(1, 1))
    with pytest.raises(ModelError, match="CNNLSTM: expected blocks for 1 to 4 stages"):
        CNNLSTM(3, blocks=())
    with pytest.raises(ModelError, match="'flatten' takes frames of one size"):
        CNNLSTM(3, size=(None, 64), pooling="flatten")
    with pytest.raises(TfvidError, match="unknown pooling 'max'"):
        CNNLSTM(3, pooling="max")
