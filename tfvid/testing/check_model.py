"""The contract of video classifiers in `tfvid.models.MODELS`."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvid.models.architectures import MODELS
from tfvid.models.build import seeded
from tfvid.testing.expect import expect, expect_equal, expect_runs

CLASSES = 3


def check_model(
    build: str | Callable[..., keras.Model], *, num_frames: int = 4, size: tuple[int, int] = (32, 32), **options
) -> None:
    """Checks that a function or class builds video classifiers that `tfvid.train` can train and others can load.

    * ``build(num_classes, num_frames, size, dtype=..., **options)`` returns a Keras model from `(None, T, H, W, 3)`
      to `(None, K)`.
    * Its scores are float32 logits, also under mixed precision; they do not depend on the other clips of a batch.
    * The same seed gives the same initial weights.
    * Every trainable weight receives a gradient.
    * The saved and loaded model returns the same scores.

    Args:
      build: a function or class, or a name in `tfvid.models.MODELS`.
      num_frames: frames per clip, T.
      size: frame (H, W) in pixels.
      **options: of the model, e.g. a small width, to keep the check short.

    Raises:
      AssertionError: the first violation, in one line.
    """
    build = MODELS.find(build) if isinstance(build, str) else build
    name = getattr(build, "__name__", type(build).__name__)
    clips = np.random.default_rng(0).random((3, num_frames, *size, 3), np.float32)
    model, again, mixed = (
        _built(name, build, num_frames, size, dtype, options) for dtype in ("float32", "float32", "mixed_bfloat16")
    )
    for one, other in zip(model.weights, again.weights, strict=True):
        same = np.array_equal(one.numpy(), other.numpy())
        expect(same, name, "the same initial weights for the same seed", f"others in {one.path}")
    logits = _scores(name, model, clips)
    _scores(f"{name} with dtype='mixed_bfloat16'", mixed, clips)
    sums = logits.sum(-1)
    is_softmax = bool((logits >= 0).all() and np.allclose(sums, 1, atol=1e-3))
    expect(not is_softmax, name, "logits", f"probabilities, which sum to {sums.round(3).tolist()}")
    alone = {"scores": _scores(name, model, clips[1:2])}
    expect_equal(name, "the same scores for a clip alone as among others", {"scores": logits[1:2]}, alone, 1e-4)
    _check_gradients(name, model, clips)
    _check_saving(name, model, clips, _scores(name, model, clips))


def _built(name: str, build: Callable, num_frames: int, size, dtype: str, options) -> keras.Model:
    with seeded(0):
        model = expect_runs(name, "a model", build, CLASSES, num_frames, size, dtype=dtype, **options)
    expect(isinstance(model, keras.Model), name, "a keras.Model", type(model).__name__)
    shapes = (None, num_frames, *size, 3), (None, CLASSES)
    got = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    expect(got == shapes, name, f"a model from {shapes[0]} to {shapes[1]}", f"from {got[0]} to {got[1]}")
    return model


def _scores(name: str, model: keras.Model, clips: np.ndarray) -> np.ndarray:
    scores = expect_runs(name, "scores of clips", model, clips, training=False)
    expect(keras.backend.standardize_dtype(scores.dtype) == "float32", name, "float32 scores", str(scores.dtype))
    expect(bool(np.isfinite(scores).all()), name, "finite scores", "NaN or infinite ones")
    return np.asarray(scores)


def _check_gradients(name: str, model: keras.Model, clips: np.ndarray) -> None:
    weights = model.trainable_variables
    with tf.GradientTape() as tape:
        labels = np.arange(len(clips)) % CLASSES
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, model(clips, training=True), True))
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    lacking = [weight.path for weight, gradient in zip(weights, gradients, strict=True) if gradient is None]
    expect(not lacking, name, "a gradient for every trainable weight", f"none for {', '.join(lacking)}")


def _check_saving(name: str, model: keras.Model, clips: np.ndarray, logits: np.ndarray) -> None:
    with tempfile.TemporaryDirectory(prefix="tfvid-") as folder:
        path = Path(folder) / "model.keras"
        expect_runs(name, "a model that can be saved", model.save, path)
        loaded = expect_runs(name, "a model that can be loaded", keras.models.load_model, path, compile=False)
    again = {"scores": np.asarray(loaded(clips, training=False))}
    expect_equal(name, "the same scores after saving and loading", {"scores": logits}, again, 1e-5)
