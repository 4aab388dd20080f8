"""The model that a `VideoModel` describes, as one function from clips `(B, T, H, W, C)` to class scores `(B, K)`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError
from tfvid.network.layout import Layout
from tfvid.network.model_format import GREY, declare, declared
from tfvid.network.shapes import shapes
from tfvid.network.video_model import ALL, VideoModel

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


class Described(keras.Model):
    """A Keras model around another one: converts its inputs and outputs as a `VideoModel` says.

    Args:
      description: the `VideoModel` of a Keras model.

    Attributes:
      inner: the model described. Its layers keep their own paths, see `tfvid.network.tracing.named_layers`.
      description: as given.
      batch_size: the number of clips that each call of the model gets, which then runs in a loop; None for all clips.
    """

    def __init__(self, description: VideoModel):
        super().__init__(name=description.model.name)
        self.inner = description.model
        self.description = description
        self.batch_size: int | None = None
        taken = _clip_input(description)
        in_batch = taken is None or Layout(description.layout).has_frames_in_batch
        self._size_of_input: int | None = None if in_batch else taken.shape[0]
        self.built = self.inner.built
        known = declared(self.inner)
        declare(
            self,
            input_range=known.input_range if description.input_range == "auto" else description.input_range,
            channels=known.channels if description.channels in (None, GREY) else description.channels,
            output=_output(description, known.output),
        )

    def settle_batch_size(self, clips: tf.Tensor):
        """Decides whether a model whose input has a fixed batch size needs batches of exactly that size.

        A functional model that does not use the size in its layers takes other sizes, too; this is tried.

        Args:
          clips: clips that the model takes, float32 `(B, T, H, W, C)`.
        """
        if self._size_of_input is None or self.batch_size is not None:
            return
        other = tf.repeat(clips[:1], 1 if self._size_of_input > 1 else 2, axis=0)
        try:
            self._run(other, training=False)
        except Exception:  # Keras, TensorFlow and the model's own layers raise their own
            self.batch_size = self._size_of_input

    def __call__(self, clips, training=False):
        # Not Keras' own, which rewrites the messages of errors. The inner model casts, builds and tracks for itself.
        return self.call(clips, training=training)

    def call(self, clips, training=False):
        if self.batch_size is None:
            return self._run(clips, training)
        return in_batches(lambda chunk: self._run(chunk, training), clips, self.batch_size)

    def _run(self, clips, training):
        outputs = self.inner(arranged(self.description, clips), training=training)
        return tf.cast(class_scores(self.description, outputs, clips), tf.float32)

    @property
    def clip_shape(self) -> tuple[int | None, int | None, int | None, int | None]:
        """`(T, H, W, C)` of the clips, None where any size will do or where it is unknown."""
        given = _clip_input(self.description)
        if given is None or self.description.preprocess is not None:
            return (None, None, None, None)
        layout = Layout(self.description.layout)
        if len(given.shape) != layout.num_axes():
            raise ModelError(
                f"layout {layout.pattern!r} has {layout.num_axes()} axes with the batch, and the model's input "
                f"{given.name!r} has {len(given.shape)}: {tuple(given.shape)}; set layout="
            )
        frames, rows, columns, channels = layout.clip_shape(given.shape)
        return frames, rows, columns, None if self.description.channels == GREY else channels


def inner_model(model):
    """Returns the model that a `Described` model wraps; any other object is returned as it is."""
    return model.inner if isinstance(model, Described) else model


def described_function(description: VideoModel):
    """Returns the function of NumPy clips to NumPy scores that a `VideoModel` of a function describes."""

    def function(clips: np.ndarray) -> np.ndarray:
        inputs = tf.nest.map_structure(np.asarray, arranged(description, tf.convert_to_tensor(clips)))
        return np.asarray(class_scores(description, description.model(inputs), clips))

    return declare(
        function,
        input_range=description.input_range,
        channels="rgb" if description.channels in (None, GREY) else description.channels,
        output=_output(description, "auto"),
    )


def _output(description: VideoModel, declared_output: str) -> str:
    if description.score is not None:
        return "score"
    return declared_output if description.output == "auto" else description.output


def arranged(description: VideoModel, clips: tf.Tensor) -> Any:
    """Returns the inputs of the model for clips in the model's range and colours.

    Args:
      description: the `VideoModel`.
      clips: float32 `(B, T, H, W, C)`.

    Returns:
      A tensor; or a dict or list of tensors, if there are several inputs or the clip's input is named.
    """
    clip = arranged_clip(description, clips)
    own = _clip_name(description)
    if own is None and not description.inputs:
        return clip
    known = {name: _fed(value, clip) for name, value in description.inputs.items()}
    if own is not None:
        known[own] = clip
    if all(isinstance(name, int) for name in known):
        return [known[place] for place in sorted(known)]
    return known


def arranged_clip(description: VideoModel, clips: tf.Tensor) -> tf.Tensor:
    """Returns what the clip's own input gets: colours, preprocessing, layout and dtype as the model expects.

    Args:
      description: the `VideoModel`.
      clips: as in `arranged`.
    """
    if description.channels == GREY and clips.shape[-1] == 3:
        clips = tf.tensordot(clips, tf.constant(LUMA, clips.dtype), 1)[..., tf.newaxis]
    if description.preprocess is not None:
        clips = description.preprocess(clips)
    clip = Layout(description.layout).arranged(clips)
    taken = _clip_input(description)
    if taken is not None and tf.as_dtype(taken.dtype).is_integer:  # Keras would cut the fraction off
        clip = tf.cast(tf.round(clip), taken.dtype)
    return clip


def _fed(value, clip: tf.Tensor) -> tf.Tensor:
    """What one further input gets: the value of a function of the clip, or an array repeated for all clips."""
    if callable(value):
        return value(clip)
    value = tf.convert_to_tensor(value)
    if value.dtype == tf.float64:
        value = tf.cast(value, tf.float32)
    return tf.repeat(value[tf.newaxis], tf.shape(clip)[0], axis=0)


def _inputs(description: VideoModel) -> list:
    """The symbolic inputs of a functional model; an empty list if they are unknown."""
    return getattr(description.model, "inputs", None) or []


def _clip_name(description: VideoModel) -> str | int | None:
    """The name or the place of the input that gets the clip; None for a model of one input, or of unknown ones.

    Raises:
      ModelError: several inputs are left for the clip, or `inputs` names one that does not exist.
    """
    names, fed = [tensor.name for tensor in _inputs(description)], description.inputs
    if description.clip is not None or not names or len(names) == 1 and not fed:
        return description.clip
    if all(isinstance(name, int) for name in fed):
        others: list = [place for place in range(len(names)) if place not in fed]
    else:
        others = [name for name in names if name not in fed]
        if unknown := [name for name in fed if name not in names]:
            raise ModelError(f"inputs: the model has no input {unknown[0]!r}; it has {', '.join(names)}")
    if len(others) > 1:
        raise ModelError(
            f"the model has the inputs {', '.join(names)}; set clip= to the one that gets the clip, and inputs= to "
            f"what the others get: {', '.join(map(str, others))}"
        )
    return others[0] if others else None


def _clip_input(description: VideoModel):
    """The symbolic input of a functional model that gets the clip; None if it is unknown."""
    inputs, own = _inputs(description), _clip_name(description)
    if own is None:
        return inputs[0] if len(inputs) == 1 else None
    by_name = {tensor.name: tensor for tensor in inputs} | dict(enumerate(inputs))
    return by_name.get(own)


def class_scores(description: VideoModel, outputs, clips) -> tf.Tensor:
    """Returns what is explained of a model's outputs: float `(B, K)`.

    Args:
      description: the `VideoModel`.
      outputs: what the model returned.
      clips: what it was given, `(B, T, H, W, C)`.

    Raises:
      ModelError: an output that no field says how to read.
    """
    if description.head is not None:
        outputs = _chosen_output(outputs, description)
    if description.score is not None:
        return _number_per_clip(description.score(outputs))
    if isinstance(outputs, list | tuple) and len(outputs) == 1:
        outputs = outputs[0]
    if isinstance(outputs, dict | list | tuple):
        names = list(outputs) if isinstance(outputs, dict) else list(range(len(outputs)))
        raise ModelError(f"the model has the outputs {', '.join(map(str, names))}; set head= to one of them, or score=")
    outputs = tf.convert_to_tensor(outputs)
    if Layout(description.layout).has_frames_in_batch and len(outputs.shape) == 2:
        outputs = tf.reshape(outputs, (-1, clips.shape[1], outputs.shape[-1]))
    if len(outputs.shape) == 3:
        return _of_frames(outputs, description.frames)
    if description.frames is not None:
        raise ModelError(f"frames: expected scores of each frame (B, T, K), got {shapes(outputs)}; leave frames out")
    if len(outputs.shape) == 1:
        outputs = outputs[:, tf.newaxis]
    if len(outputs.shape) != 2:
        raise ModelError(
            f"expected class scores (B, K) or scores of each frame (B, T, K), got {shapes(outputs)}; set score= to a "
            "function of them that returns one number per clip"
        )
    return outputs


def _chosen_output(outputs, description: VideoModel):
    """The output that `head` names, by its key, its place, or the name of a functional model's output."""
    head, names = description.head, list(getattr(description.model, "output_names", None) or [])
    if isinstance(outputs, dict):
        names = list(outputs)
        if head in outputs:
            return outputs[head]
    elif isinstance(outputs, list | tuple):
        place = names.index(head) if head in names else head
        if isinstance(place, int) and place < len(outputs):
            return outputs[place]
        names = names or list(range(len(outputs)))
    elif head in names or head == 0:
        return outputs
    raise ModelError(f"head: the model has no output {head!r}; it has {', '.join(map(str, names)) or 'one output'}")


def _of_frames(scores: tf.Tensor, frames) -> tf.Tensor:
    """The scores `(B, K)` of a frame or of a span of frames, of scores `(B, T, K)`."""
    count = scores.shape[1]
    if frames is None:
        raise ModelError(
            f"the model returns scores of {count or 'several'} frames, (B, T, K); set frames= to a frame, to a span "
            "such as (4, 8), or to 'all'"
        )
    if frames == ALL:
        return tf.reduce_mean(scores, axis=1)
    start, stop = (frames, frames + 1) if isinstance(frames, int) else frames
    if start < 0 or count is not None and stop > count:
        raise TfvidError(f"frames: the model returns scores of frames 0 to {(count or 0) - 1}, got {frames!r}")
    return tf.reduce_mean(scores[:, start:stop], axis=1)


def _number_per_clip(score) -> tf.Tensor:
    """The value of `score` as `(B, 1)`."""
    score = tf.convert_to_tensor(score)
    if score.shape.rank != 1:
        raise ModelError(f"score: expected one number per clip, float (B,), got {shapes(score)}")
    return score[:, tf.newaxis]


def in_batches(function, clips: tf.Tensor, batch_size: int) -> tf.Tensor:
    """Returns ``function(clips)`` for a function that takes exactly `batch_size` clips.

    The last chunk is filled up with zeros, whose scores are dropped. The function runs inside a loop of the graph.
    """
    count = tf.shape(clips)[0]
    missing = -count % batch_size
    clips = tf.concat([clips, tf.zeros_like(tf.repeat(clips[:1], missing, axis=0))], axis=0)
    chunks = tf.reshape(clips, tf.concat([[-1, batch_size], tf.shape(clips)[1:]], axis=0))
    chunks = tf.ensure_shape(chunks, (None, batch_size, *clips.shape[1:]))
    scores = tf.map_fn(function, chunks, fn_output_signature=tf.float32)
    return tf.reshape(scores, (-1, scores.shape[-1]))[:count]
