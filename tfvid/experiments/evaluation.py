"""Evaluates a model on a split: on the clips as they are, and on clips whose order of frames is changed.

A model that uses the order of the frames has a lower accuracy on shuffled and single-frame clips, and predicts the
opposite event for reversed clips. Mänttäri et al., ACCV 2020, section 5 and table 1, play clips backwards.
"""

import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.stats import binom

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import DataError, ModelError, TfvidError
from tfvid.metrics import classification
from tfvid.network.classifier import OUT_OF_MEMORY
from tfvid.network.python_calls import plainly_raised

PLAYBACKS = ("forward", "reversed", "shuffled", "single_frame")


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for N clips.

    Attributes:
      ids: the N ids of the clips.
      labels: int `(N,)`, the true classes.
      logits: float32 `(N, K)` by playback.
    """

    ids: list[str]
    labels: np.ndarray
    logits: dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on the clips of a split.

    Attributes:
      predictions: the logits of each clip, by playback.
      measures: the measures by playback, see `measure`.
    """

    predictions: Predictions
    measures: dict[str, dict]

    @property
    def warning(self) -> str | None:
        """A line of text if the accuracy on unchanged clips is at chance level, else None; see `chance_warning`."""
        labels, logits = self.predictions.labels, self.predictions.logits["forward"]
        right = logits.argmax(axis=1) == labels
        return chance_warning(int(right.sum()), len(right), logits.shape[1])


def evaluate(
    model: Any,
    clips: tf.data.Dataset,
    *,
    class_names: Sequence[str] | None = None,
    reverse_labels: dict[int, int] | None = None,
    playbacks: Sequence[str] = PLAYBACKS,
    seed: int = 0,
    name: str = "model",
) -> Evaluation:
    """Measures a model on labelled clips: unchanged, reversed, shuffled, and with one frame repeated.

    Args:
      model: a model of clips `(B, T, H, W, C)` to class scores, see `stream`.
      clips: batches of labelled clips, as from `tfvid.load_dataset`.
      class_names: the K names of the classes; the model must return K scores. None accepts any number.
      reverse_labels: for each label, the label of the clip played backwards; see `measure`.
      playbacks: names in `PLAYBACKS`.
      seed: the seed of the shuffled frame order.
      name: the name of the model in error messages.

    Returns:
      The predictions and the measures.

    Raises:
      ModelError: the number of the model's classes differs from that of `class_names`.
      DataError: there is no clip, or a clip has no label.

    Example:
      >>> clips = tfvid.load_dataset("kth", "test", root="/data/kth")
      >>> tfvid.evaluate(model, clips).measures["forward"]["top_1"]
    """
    predictions = predict(model, clips, playbacks, seed)
    scores = predictions.logits[playbacks[0]].shape[1]
    if class_names is not None and scores != len(class_names):
        raise ModelError(f"{name}: {len(class_names)} class names for a model of {scores} classes")
    return Evaluation(predictions, measure(predictions, reverse_labels))


def predict(model: Any, clips: tf.data.Dataset, playbacks: Sequence[str] = ("forward",), seed: int = 0) -> Predictions:
    """Returns the predictions for all clips. Each clip is decoded once for all playbacks.

    Args:
      model: see `stream`.
      clips: a dataset from `tfvid.load_dataset`: batches with ``clip`` `(B, T, H, W, 3)` in [0, 1], ``label``, ``id``.
      playbacks: names in `PLAYBACKS`.
      seed: the seed of the shuffled order. The order also depends on the clip's id, but not on its place in a batch.
    """
    model = classifier_of(model, any_callable=True)
    answers = list(stream(model, clips, playbacks, seed))
    num_classes = model.num_classes or max(model.model.output_shape[-1], 2)
    empty = Predictions([], np.zeros(0, np.int32), {name: np.zeros((0, num_classes), np.float32) for name in playbacks})
    parts = [empty, *answers]
    return Predictions(
        [id for part in parts for id in part.ids],
        np.concatenate([part.labels for part in parts]),
        {playback: np.concatenate([part.logits[playback] for part in parts]) for playback in playbacks},
    )


def stream(
    model: Any, clips: Iterable[Mapping], playbacks: Sequence[str] = ("forward",), seed: int = 0
) -> Iterator[Predictions]:
    """Yields the predictions batch by batch, see `predict`.

    Args:
      model: a Keras model of clips, a `tfvid.VideoModel`, a model of another make, a function of clips, or a
        `tfvid.network.classifier.Classifier` of one. The classifier scales clips to the range that the model expects,
        and converts its scores to logits. A model with one output unit has two classes.
      clips: batches as in `predict`, of tensors or arrays.
      playbacks: names in `PLAYBACKS`.
      seed: see `predict`.
    """
    classifier, forward = classifier_of(model, any_callable=True), None
    for batch in clips:
        frames = classifier.checked(batch["clip"])
        if forward is None:  # one trace, also for a smaller last batch
            in_memory(lambda frames: classifier.prepare(frames) or frames, frames[:2])
            signature = tf.TensorSpec((None, *frames.shape[1:]), tf.float32)
            forward = tf.function(classifier.logits, [signature], autograph=False)
        ids = [id.decode() for id in np.asarray(batch["id"]).tolist()]
        logits = {}
        for playback in playbacks:
            order = np.stack([frame_order(playback, frames.shape[1], id, seed) for id in ids])
            logits[playback] = in_memory(forward, tf.gather(frames, order, axis=1, batch_dims=1))
        yield Predictions(ids, np.asarray(batch["label"]), logits)


def in_memory(forward, frames: tf.Tensor) -> np.ndarray:
    """Returns the logits of all clips; if memory runs out, of half of them at a time."""
    try:
        with plainly_raised():
            return forward(frames).numpy()
    except OUT_OF_MEMORY as error:
        if len(frames) == 1:
            raise TfvidError(f"out of memory with a single clip ({str(error).splitlines()[0]})") from None
    half = len(frames) // 2
    message = f"out of memory with {len(frames)} clips at a time; the batch is split; a smaller batch size is faster"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return np.concatenate([in_memory(forward, frames[:half]), in_memory(forward, frames[half:])])


def frame_order(playback: str, num_frames: int, clip_id: str, seed: int = 0) -> np.ndarray:
    """Returns the index of the frame at each step, int64 `(T,)`.

    "forward" is 0 .. T-1; "reversed" is T-1 .. 0; "shuffled" is a permutation that depends on (seed, clip_id);
    "single_frame" is the middle frame T // 2 at all steps.
    """
    frames = np.arange(num_frames)
    if playback == "forward":
        return frames
    if playback == "reversed":
        return frames[::-1]
    if playback == "shuffled":
        return np.random.default_rng([seed, zlib.crc32(clip_id.encode())]).permutation(num_frames)
    if playback == "single_frame":
        return np.full(num_frames, num_frames // 2)
    raise ValueError(f"playback must be one of {', '.join(PLAYBACKS)}, got {playback!r}")


def measure(predictions: Predictions, reverse_labels: dict[int, int] | None = None) -> dict[str, dict]:
    """Returns the measures of each playback.

    Args:
      predictions: the predictions of a model.
      reverse_labels: for each label, the label of the clip played backwards; None if unknown.

    Returns:
      For each playback, `classification.scores` and ``class_f1``, a list of K. With `reverse_labels`, "forward" and
      "reversed" also have ``paired_clips``, the number of clips whose label changes when they are reversed. Of these
      clips, ``paired_top_1`` of "forward" is the share with a correct prediction, and ``swapped_top_1`` of "reversed"
      is the share predicted as the opposite class; None if there are no such clips.

    Raises:
      DataError: there is no clip, or a clip has no label.
    """
    labels = predictions.labels
    if not len(labels):
        raise DataError("no clip of this split could be read")
    measures = {}
    for playback, logits in predictions.logits.items():
        matrix = classification.confusion(labels, logits.argmax(axis=1), logits.shape[1])
        measures[playback] = classification.scores(logits, labels) | {"class_f1": classification.f1(matrix).tolist()}
    if reverse_labels is not None:
        swapped = np.array([reverse_labels.get(label, label) for label in labels.tolist()])
        paired = swapped != labels
        for playback, name, expected in (("forward", "paired_top_1", labels), ("reversed", "swapped_top_1", swapped)):
            if playback in measures:
                right = (predictions.logits[playback].argmax(axis=1) == expected)[paired]
                measures[playback]["paired_clips"] = int(paired.sum())
                measures[playback][name] = float(right.mean()) if paired.any() else None
    return measures


FEWEST, ALPHA = 20, 0.05  # the smallest number of labelled clips; the level of the test


def chance_warning(right: int, clips: int, num_classes: int) -> str | None:
    """Returns a warning if a model's accuracy is at chance level; None if it is higher or there are few clips.

    The number of correct random guesses of one of K classes has a binomial distribution with N draws and p = 1 / K. The
    accuracy is at chance level if as many or more correct guesses have a probability of `ALPHA` or more.

    Args:
      right: the number of clips with a correct prediction.
      clips: the number of labelled clips, N. There is no warning below `FEWEST`.
      num_classes: K.
    """
    if clips < FEWEST or binom.sf(right - 1, clips, 1 / num_classes) < ALPHA:
        return None
    return (
        f"{right} of {clips} predictions are correct, no more than by guessing one of {num_classes} classes; check "
        "whether the model expects another range of pixels than 0 to 1 (input_range), another order of colours "
        "(channels: bgr), or another order of classes; see docs/models.md"
    )
