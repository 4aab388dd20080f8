"""A model's answers to a whole split, with clips played as they are and in ways that take time away.

A model that knows *when* should lose on shuffled and single-frame clips, and see the opposite event in reversed
ones (Mänttäri et al., ACCV 2020, section 5, play clips backwards; table 1).
"""

import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from scipy.stats import binom

from tfvid.core.errors import DataError, ModelError, TfvidError
from tfvid.metrics import classification
from tfvid.network.classifier import OUT_OF_MEMORY, Classifier

PLAYBACKS = ("forward", "reversed", "shuffled", "single_frame")


@dataclass(frozen=True)
class Predictions:
    """What `predict` saw and answered.

    Attributes:
      ids: N clip ids.
      labels: int `(N,)`.
      logits: by playback, float32 `(N, K)`.
    """

    ids: list[str]
    labels: np.ndarray
    logits: dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on the clips of a split.

    Attributes:
      predictions: the logits of every clip, by playback.
      measures: by playback, see `measure`.
    """

    predictions: Predictions
    measures: dict[str, dict]

    @property
    def warning(self) -> str | None:
        """One line where the model is no better than chance on the clips as they are, see `chance_warning`."""
        labels, logits = self.predictions.labels, self.predictions.logits["forward"]
        right = logits.argmax(axis=1) == labels
        return chance_warning(int(right.sum()), len(right), logits.shape[1])


def evaluate(
    model: keras.Model | Classifier,
    clips: tf.data.Dataset,
    *,
    class_names: Sequence[str] | None = None,
    reverse_labels: dict[int, int] | None = None,
    playbacks: Sequence[str] = PLAYBACKS,
    seed: int = 0,
    name: str = "model",
) -> Evaluation:
    """Measures a model on labelled clips: as they are, reversed, shuffled, and with one frame repeated.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` to class scores, or a `Classifier` of one.
      clips: batches of labelled clips, as from `tfvid.load_dataset`.
      class_names: K names; the model must have as many scores. None accepts any number.
      reverse_labels: the label of a clip when it is played backwards, by label; see `measure`.
      playbacks: names in `PLAYBACKS`.
      seed: of the shuffled frame order.
      name: of the model, in error messages.

    Raises:
      ModelError: the model has another number of classes than `class_names`.
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


def predict(
    model: keras.Model | Classifier, clips: tf.data.Dataset, playbacks: Sequence[str] = ("forward",), seed: int = 0
) -> Predictions:
    """Runs `model` over `clips`, which are decoded once for all playbacks; holds every answer, see `stream`.

    Args:
      model: see `stream`.
      clips: a dataset from `tfvid.load_dataset`: batches with ``clip`` `(B, T, H, W, 3)` in [0, 1], ``label``, ``id``.
      playbacks: names in `PLAYBACKS`.
      seed: of the shuffled order, which also depends on the clip's id and not on its place in a batch.
    """
    model = model if isinstance(model, Classifier) else Classifier(model)
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
    model: keras.Model | Classifier, clips: Iterable[Mapping], playbacks: Sequence[str] = ("forward",), seed: int = 0
) -> Iterator[Predictions]:
    """The answers batch by batch; `clips` are any batches, of tensors or arrays. See `predict`.

    Args:
      model: a Keras model of clips, or a `tfvid.network.classifier.Classifier` of one, which brings clips to the
        values that the model takes and makes logits of its scores; a model with one output unit has two classes.
    """
    classifier, forward = model if isinstance(model, Classifier) else Classifier(model), None
    for batch in clips:
        frames = classifier.checked(batch["clip"])
        if forward is None:  # one trace, also for a smaller last batch
            _in_memory(lambda frames: classifier.prepare(frames) or frames, frames[:2])
            signature = tf.TensorSpec((None, *frames.shape[1:]), tf.float32)
            forward = tf.function(classifier.logits, [signature], autograph=False)
        ids = [id.decode() for id in np.asarray(batch["id"]).tolist()]
        logits = {}
        for playback in playbacks:
            order = np.stack([frame_order(playback, frames.shape[1], id, seed) for id in ids])
            logits[playback] = _in_memory(forward, tf.gather(frames, order, axis=1, batch_dims=1))
        yield Predictions(ids, np.asarray(batch["label"]), logits)


def _in_memory(forward, frames: tf.Tensor) -> np.ndarray:
    """The answers to all clips, to half of them at a time where the memory does not suffice."""
    try:
        return forward(frames).numpy()
    except OUT_OF_MEMORY as error:
        if len(frames) == 1:
            raise TfvidError(f"out of memory with a single clip ({str(error).splitlines()[0]})") from None
    half = len(frames) // 2
    message = f"out of memory with {len(frames)} clips at a time: they are taken in parts, a lower batch size is faster"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return np.concatenate([_in_memory(forward, frames[:half]), _in_memory(forward, frames[half:])])


def frame_order(playback: str, num_frames: int, clip_id: str, seed: int = 0) -> np.ndarray:
    """Which frame is shown at each step, int64 `(T,)`.

    "forward" is 0 .. T-1, "reversed" T-1 .. 0, "shuffled" a permutation by (seed, clip_id), and
    "single_frame" the middle frame T // 2 throughout.
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
    """The measures of each playback.

    Args:
      reverse_labels: label after the clip is played backwards, by label.

    Returns:
      By playback: `classification.scores`, and ``class_f1``, a list of K. Where `reverse_labels` is given, the clips
      whose label changes in reverse are the time-critical ones: "forward" and "reversed" have ``paired_clips``,
      their number; "forward" has ``paired_top_1``, the share of them that is right, and "reversed"
      ``swapped_top_1``, the share that is now taken for the opposite (None where there are none).

    Raises:
      DataError: no clip at all, or one without a label.
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


FEWEST, ALPHA = 20, 0.05  # labelled clips to judge a model by; how likely chance may be to do as well


def chance_warning(right: int, clips: int, num_classes: int) -> str | None:
    """One line where a model's accuracy is what guessing gives; None where it is better, or the clips are few.

    Guessing one of K classes is right for n or more of N clips with the probability of a binomial distribution of N
    draws at 1 / K. From `ALPHA` on, the accuracy is no better than chance.

    Args:
      right: clips whose top class is the true one.
      clips: labelled clips, N.
      num_classes: K.
    """
    if clips < FEWEST or binom.sf(right - 1, clips, 1 / num_classes) < ALPHA:
        return None
    return (
        f"{right} of {clips} clips are right, which guessing one of {num_classes} classes does as well; does "
        "the model take other values than 0 to 1 (input_range), other colours (channels: bgr), or classes in another "
        "order? See docs/models.md"
    )
