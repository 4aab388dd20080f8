"""`tfvid.testing` accepts what is right, and finds each thing that is wrong."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.sources.shapes import MovingShapes
from tfvid.explain.base import Attribution, Explainer
from tfvid.testing import check_dataset, check_explainer, check_metric, check_model


class Mine(Explainer):
    """The mean over the colours."""

    def _compute(self, clips, target):
        return {"attribution": tf.reduce_mean(clips, -1)}


def changed(**fields):
    """An explainer whose result has other values in these fields."""

    class Wrong(Mine):
        def __call__(self, clips, target=None):
            result = super().__call__(clips, target)
            return dataclasses.replace(
                result, **{name: change(getattr(result, name)) for name, change in fields.items()}
            )

    return Wrong


class NoResult(Mine):
    def __call__(self, clips, target=None):
        return super().__call__(clips, target).attribution


class Random(Mine):
    def _compute(self, clips, target):
        return {"attribution": np.random.default_rng().random(clips.shape[:4]).astype(np.float32)}


class AcrossClips(Mine):
    def _compute(self, clips, target):
        maps = tf.reduce_mean(clips, -1)
        return {"attribution": maps / tf.reduce_max(maps)}


class ChangesClips(Mine):
    def __call__(self, clips, target=None):
        result = super().__call__(clips, target)
        if isinstance(clips, np.ndarray) and clips.flags.writeable and len(clips) == 3:
            clips[0, 0, 0, 0, 0] = 0
        return result


class ChangesModel(Mine):
    def _compute(self, clips, target):
        self.classifier.model.trainable = False
        return super()._compute(clips, target)


class ChangesModelOnError(Mine):
    def __call__(self, clips, target=None):
        try:
            return super().__call__(clips, target)
        except RuntimeError:
            self.classifier.model.trainable = False
            raise
        except TfvidError as error:
            if "told" in str(error) or "made the model fail" in str(error):
                self.classifier.model.trainable = False
            raise


class AcceptsAnyTarget(Mine):
    def __call__(self, clips, target=None):
        try:
            return super().__call__(clips, target)
        except TfvidError as error:
            if "target" not in str(error):
                raise
            return super().__call__(clips)


class Raises(Mine):
    def _compute(self, clips, target):
        raise KeyError("layer")


def test_an_explainer_that_is_right():
    check_explainer(Mine)
    check_explainer("gradient")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda model, batch_size: "map", "expected a tfvid.Explainer, got str"),
        (NoResult, "NoResult: expected a tfvid.Explanation, got ndarray"),
        (Raises, "Raises: expected an explanation of 3 clips, got KeyError: 'layer'"),
        (
            changed(attribution=lambda a: a[:, :3]),
            r"attribution: expected a NumPy array float32 \(3, 6, 8, 8\), got float32",
        ),
        (changed(attribution=lambda a: a.astype(float)), "attribution: expected float32, int32 or bool, got float64"),
        (changed(attribution=lambda a: a[:1]), r"attribution: expected 3 rows, one per clip, got shape \(1, 6, 8, 8\)"),
        (changed(attribution=lambda a: a + np.float32(np.nan)), "attribution: expected finite numbers, got NaN"),
        (changed(attribution=lambda a: a.tolist()), "attribution: expected a NumPy array, got list"),
        (changed(predicted=lambda p: (p + 1) % 3), r"result.predicted: expected \["),
        (changed(target=lambda t: (t + 1) % 3), r"result.target: expected \["),
        (changed(score=lambda s: s + 1), r"result.score: expected the logits \[.* of the target, got \["),
        (Random, "the same result in a second call; attribution differs by 0."),
        (AcrossClips, "expected the same result for .*; attribution differs by"),
        (AcceptsAnyTarget, "expected a TfvidError for target=3, got a result"),
        (ChangesClips, "expected clips that stay unchanged, got changed clips|expected the same result"),
        (ChangesModel, "expected a model that stays unchanged, got changes in the model itself"),
        (ChangesModelOnError, "expected a model that stays unchanged after an error, got changes in the model itself"),
    ],
)
def test_each_wrong_explainer_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message) as error:
        check_explainer(wrong)
    assert "\n" not in str(error.value)


def net(num_classes, num_frames, size, dtype=None, activation=None, pool=layers.GlobalAveragePooling3D, head="float32"):
    clips = keras.Input((num_frames, *size, 3))
    x = layers.Conv3D(2, 3, strides=4, dtype=dtype)(clips) if num_frames > 2 else clips
    x = layers.Dense(num_classes, dtype=head or dtype)(pool(dtype=dtype)(x))
    return keras.Model(clips, layers.Activation(activation, dtype=head or dtype)(x) if activation else x)


def unused(num_classes, num_frames, size, dtype=None):
    model = net(num_classes, num_frames, size, dtype)
    lonely = layers.Dense(num_classes)(keras.ops.stop_gradient(layers.Dense(2, name="lonely")(model.input[:, 0, 0, 0])))
    return keras.Model(model.input, model.output + lonely)


def test_models_that_are_right():
    check_model(net)
    check_model("i3d", width=0.125, depth=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda *_, **__: None, "expected a keras.Model, got NoneType"),
        (lambda k, t, s, dtype: net(k + 1, t, s, dtype), r"to \(None, 3\), got from .* to \(None, 4\)"),
        (lambda k, t, s, dtype: net(k, t + 1, s, dtype), r"from \(None, 4, 32, 32, 3\) .* got from \(None, 5"),
        (lambda k, t, s: net(k, t, s), "expected a model, got TypeError"),
        (lambda k, t, s, dtype: net(k, t, s, dtype, "softmax"), "expected logits, got probabilities"),
        (lambda k, t, s, dtype: net(k, t, s, dtype, head=None), "expected float32 scores, got .*bfloat16"),
        (unused, "expected a gradient for every trainable weight, got none for .*lonely"),
    ],
)
def test_each_wrong_model_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_model(wrong)


class Grey(VideoDataset):
    class_names = ("a", "b")
    max_boxes = 1

    def samples(self, split):
        return [Sample(f"{split}-{label}", label) for label in (0, 1)]

    def read(self, sample, num_frames, size):
        boxes = np.zeros((num_frames, 1, 4), np.float32)
        return Clip(np.full((num_frames, *size, 3), 9, np.uint8), np.int32([0, 1]), boxes)


def grey(**members):
    return type("Wrong", (Grey,), members)()


def read(**fields):
    return lambda self, *arguments: dataclasses.replace(Grey.read(self, *arguments), **fields)


def test_data_sets_that_are_right():
    check_dataset(Grey())
    check_dataset(MovingShapes(train=2, validation=2), reads=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (grey(class_names=["a"]), r"class_names: expected a tuple of names, got \['a'\]"),
        (grey(class_names=("a", "a")), "class_names: expected different names"),
        (grey(flip_labels={0: 2}), r"flip_labels: expected labels from 0 to 1, or None, got \{0: 2\}"),
        (grey(samples=lambda self, split: []), r"samples\('train'\): expected one sample or more, got none"),
        (grey(samples=lambda self, split: [Sample("x", 0)] * 2), "expected different ids, got 2 samples with 1 ids"),
        (grey(samples=lambda self, split: [Sample("x", 2)]), "x: expected a label from -1 to 1, got 2"),
        (grey(samples=lambda self, split: ["x"]), "expected tfvid.Sample objects, got str"),
        (
            grey(samples=lambda self, split: [Sample(str(id(object())), 0)] + [Sample(str(np.random.rand()), 0)]),
            "second call",
        ),
        (
            grey(read=read(frames=np.zeros((4, 8, 8, 3), np.uint8))),
            r"frames: expected a NumPy array uint8 \(4, 16, 24, 3\)",
        ),
        (grey(read=read(event=np.int32([2, 9]))), r"event: expected frames within 0 to 4, or \(-1, -1\), got \(2, 9\)"),
        (grey(max_boxes=2), r"boxes: expected a NumPy array float32 \(4, 2, 4\), got float32 \(4, 1, 4\)"),
        (grey(read=lambda self, *_: 1 / 0), "expected a clip, got ZeroDivisionError: division by zero"),
    ],
)
def test_each_wrong_data_set_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(wrong)


def outside(maps, boxes):
    """The mean of the map in the first box: a measure of one's own."""
    maps = np.asarray(maps)
    if maps.ndim != 4 or not np.isfinite(maps).all():
        raise TfvidError("maps")
    return maps[:, :, 1:5, 2:6].mean((1, 2, 3)).astype(np.float32)


def test_measures_that_are_right():
    check_metric(outside)
    check_metric("pointing_game")
    check_metric("average_drop")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda maps: outside(maps, None), r"expected \(model, clips, maps, target\), .* got \(maps\)"),
        (lambda maps, boxes: outside(maps, boxes).mean(), "expected a NumPy array float32 .3,., got float32"),
        (lambda maps, boxes: outside(maps, boxes).astype(float), "got float64"),
        (lambda maps, event: outside(maps, event) / np.ptp(maps), "expected finite numbers for maps that are all 0"),
        (lambda maps, event: outside(maps, event) + len(maps), "for a clip alone as among others; value differs by 2"),
        (
            lambda maps, event: outside(np.nan_to_num(maps), event),
            "expected a TfvidError for maps with NaN, got a result",
        ),
        (lambda maps, event: 1 / 0, "expected one number per clip, got ZeroDivisionError"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_each_wrong_measure_is_found(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_metric(wrong)


def test_results_that_other_fields_describe():
    """A mask outside [0, 1] is found."""

    @dataclasses.dataclass(frozen=True)
    class Masked(Attribution):
        mask: np.ndarray

    class Wrong(Mine):
        result_type = Masked

        def _compute(self, clips, target):
            return super()._compute(clips, target) | {"mask": tf.fill(clips.shape[:2], 1.5)}

    with pytest.raises(AssertionError, match=r"result.mask: expected values in \[0, 1\], got 1.5 to 1.5"):
        check_explainer(Wrong)
