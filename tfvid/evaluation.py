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

from tfvid.errors import DataError, TfvidError
from tfvid.explain.base import OUT_OF_MEMORY
from tfvid.metrics import classification

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


def predict(
    model: keras.Model, clips: tf.data.Dataset, playbacks: Sequence[str] = ("forward",), seed: int = 0
) -> Predictions:
    """Runs `model` over `clips`, which are decoded once for all playbacks; holds every answer, see `stream`.

    Args:
      clips: a dataset from `tfvid.load_dataset`: batches with ``clip`` `(B, T, H, W, 3)`, ``label``, ``id``.
      playbacks: names in `PLAYBACKS`.
      seed: of the shuffled order, which also depends on the clip's id and not on its place in a batch.
    """
    empty = Predictions(
        [], np.zeros(0, np.int32), {name: np.zeros((0, model.output_shape[-1]), np.float32) for name in playbacks}
    )
    parts = [empty, *stream(model, clips, playbacks, seed)]
    return Predictions(
        [id for part in parts for id in part.ids],
        np.concatenate([part.labels for part in parts]),
        {playback: np.concatenate([part.logits[playback] for part in parts]) for playback in playbacks},
    )


def stream(
    model: keras.Model, clips: Iterable[Mapping], playbacks: Sequence[str] = ("forward",), seed: int = 0
) -> Iterator[Predictions]:
    """The answers batch by batch; `clips` are any batches, of tensors or arrays. See `predict`."""
    forward = None
    for batch in clips:
        frames = tf.convert_to_tensor(batch["clip"], tf.float32)
        if forward is None:  # one trace, also for a smaller last batch
            signature = tf.TensorSpec((None, *frames.shape[1:]), tf.float32)
            forward = tf.function(lambda frames: model(frames, training=False), [signature])
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
