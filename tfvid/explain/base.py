"""What every explainer shares: one way in, one way out.

`Classifier` gives any Keras model two faces, ``logits(clips)`` and ``probabilities(clips)``, both float32.
`Explainer` checks what comes in, cuts it into chunks, and joins the results.
"""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, fields
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from tfvid.errors import ModelError, TfvidError, unknown
from tfvid.explain.layers import LayerCall, computing_in, replaced, trace_calls


@dataclass(frozen=True)
class Explanation:
    """What an explainer returns: NumPy arrays, one row a clip.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
    """

    target: np.ndarray
    predicted: np.ndarray

    def __len__(self):
        return len(self.target)

    @classmethod
    def join(cls, parts: list["Explanation"]) -> "Explanation":
        """One result of several, in order."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


class Explainer(ABC):
    """Explains a video model's answer for clips.

    A new method is one file with one subclass: `_explain`, and a result class derived from `Explanation`.

    Args:
      model: a Keras model from one input, float clips `(B, T, H, W, C)`, to one output, class scores `(B, K)`:
        functional, Sequential or subclassed. It is left unchanged, also after an error.
      output: what the model returns: "logits", "probabilities", or "auto", see `Classifier`.
      batch_size: clips explained at a time; bounds memory, does not change results.

    Attributes:
      classifier: the model as `Classifier`.
    """

    def __init__(self, model, *, output: str = "auto", batch_size: int = 8):
        if batch_size < 1:
            raise TfvidError(f"batch_size must be 1 or more, got {batch_size}")
        self.classifier = Classifier(model, output)
        self.batch_size = batch_size

    def __call__(self, clips, target=None) -> Explanation:
        """Explains `clips`.

        Args:
          clips: float `(B, T, H, W, C)`, array or tensor, in the range the model was trained on ([0, 1] for
            tfvid's models).
          target: the class to explain: an int for all clips, ints `(B,)`, or None for each clip's predicted class.

        Returns:
          The method's `Explanation`, NumPy arrays with the batch first.

        Raises:
          TfvidError: clips or target that do not fit the model, NaN or infinite pixels.
          ModelError: a model the method cannot explain.
        """
        return self._run(clips, target)

    def prepare(self, clips: tf.Tensor):
        """Learns what it has to know of the model, once, from real clips, float32 `(B, T, H, W, C)`."""
        self.classifier.prepare(clips)

    @abstractmethod
    def _explain(self, clips: tf.Tensor, target: tf.Tensor, *per_clip: tf.Tensor) -> Explanation:
        """Explains one chunk: float32 clips, int32 targets `(B,)`, -1 for the predicted class."""

    def _run(self, clips, target, **labels):
        """Checks, explains chunk by chunk, joins. `labels`: more class indices, one a clip, by argument name."""
        clips = checked_clips(clips, self.classifier.model)
        self.prepare(clips)
        num_clips, num_classes = len(clips), self.classifier.num_classes
        classes = [_class_indices(target, num_clips, num_classes, "target", lowest=0)]
        classes += [_class_indices(value, num_clips, num_classes, name, lowest=-1) for name, value in labels.items()]
        parts = []
        for start in range(0, num_clips, self.batch_size):
            chunk = slice(start, start + self.batch_size)
            parts.append(self._explain(clips[chunk], *(indices[chunk] for indices in classes)))
        return type(parts[0]).join(parts)


class Classifier:
    """A Keras model as two functions of clips, `logits` and `probabilities`, run in inference mode, in float32.

    With `output="auto"` the last layer's activation tells what the model returns: softmax or sigmoid means
    probabilities, linear means logits. Where the last layer does not tell (a custom layer, a softmax written in a
    subclassed model's ``call``), the first clips do: rows that are non-negative and sum to one are probabilities.

    The logits of a model that returns probabilities are the values before its last activation, taken by leaving
    that activation out while the model is traced. Where it cannot be left out (again, written in ``call``), they
    are the log-probabilities instead: the logits less their log-sum-exp, which is the same number for all classes,
    but not a constant.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)`, one input and one output.
      output: "auto", "logits" or "probabilities".

    Attributes:
      model: the model.
      calls: its layer calls in order, from `prepare` on.
      num_classes: K, from `prepare` on.
      output: "logits" or "probabilities", from `prepare` on.
    """

    def __init__(self, model, output: str = "auto"):
        check_choice("output", output, ("auto", "logits", "probabilities"))
        if not isinstance(model, keras.Model):
            raise ModelError(f"expected a Keras model, got {type(model).__name__}")
        self.model = model
        self.output = output
        self.calls: list[LayerCall] = []
        self.num_classes: int | None = None
        self._activation: keras.Layer | None = None  # the last layer, where it ends in a softmax or sigmoid
        self._precision: str | None = None

    def prepare(self, clips: tf.Tensor):
        """Learns what the model returns, once; `clips` are real ones, float32."""
        if self.num_classes is not None:
            return
        if not self.model.built and isinstance(self.model, keras.Sequential):  # a call would fix its batch size
            self.model.build((None, *clips.shape[1:]))
        elif not self.model.built:
            self.model(clips[:1], training=False)
        self.calls, scores = trace_calls(self.model, tuple(clips.shape[1:]))
        if not tf.is_tensor(scores) or scores.shape.rank != 2 or scores.shape[1] is None:
            raise ModelError(f"expected a model with one output, class scores (B, K), got {_shapes(scores)}")
        last = next((call.layer for call in self.calls if call.is_output), None)
        activation = _activation(last)
        self._activation = last if _OUTPUT.get(activation) == "probabilities" else None
        if self.output == "auto":
            self.output = _OUTPUT.get(activation) or _looks_like(self._outputs(clips[:2]))
        if self.output == "logits" and scores.shape[1] == 1:
            raise ModelError(
                "expected logits of 2 classes or more, got a model with one: a softmax over it is always 1"
            )
        self.num_classes = scores.shape[1]

    def logits(self, clips) -> tf.Tensor:
        """Clips float32 `(B, T, H, W, C)` to logits float32 `(B, K)`."""
        if self.output == "logits":
            return self._outputs(clips)
        if self._activation is None:
            return tf.math.log(tf.maximum(self._outputs(clips), np.finfo(np.float32).tiny))
        with _without_activation(self._activation):
            return self._outputs(clips)

    def probabilities(self, clips) -> tf.Tensor:
        """Clips float32 `(B, T, H, W, C)` to class probabilities float32 `(B, K)`."""
        outputs = self._outputs(clips)
        return outputs if self.output == "probabilities" else tf.nn.softmax(outputs)

    def computing_in(self, precision: str) -> "Classifier":
        """This classifier, prepared, with a model that computes in "bfloat16" or "float16" where it did in float32.

        The weights stay as they are, and so does the layer that makes the scores.
        """
        other = copy(self)
        other._precision = f"mixed_{precision}"
        return other

    def run(self, clips, layer: keras.Layer) -> tuple[tf.Tensor, tf.Tensor]:
        """What `layer`, one that runs once, is given and returns while the model runs on `clips`."""
        seen, call = [], layer.call

        def watching(inputs, *args, **kwargs):
            seen.append((inputs, call(inputs, *args, **kwargs)))
            return seen[-1][1]

        with replaced(layer, "call", watching):
            self._outputs(clips)
        return seen[0]

    def _outputs(self, clips):
        with ExitStack() as stack:
            if self._precision:
                last = [call.layer for call in self.calls if call.is_output]
                stack.enter_context(computing_in(self.model, self._precision, last))
            return tf.cast(self.model(clips, training=False), tf.float32)


class Compiled:
    """A function of batched tensors, compiled once for each clip shape whatever the batch size."""

    def __init__(self, function):
        self._function = function
        self._compiled: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}

    def __call__(self, *tensors: tf.Tensor):
        signature = tuple(tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors)
        if signature not in self._compiled:
            # Without autograph, as Keras traces its own training step. A partial of its own for each explainer:
            # TensorFlow counts retraces by a function's code, and would warn of those of other explainers.
            self._compiled[signature] = tf.function(partial(self._function), signature, autograph=False)
        return self._compiled[signature](*tensors)

    @property
    def traces(self) -> int:
        """How often the function has been traced."""
        return sum(compiled.experimental_get_tracing_count() for compiled in self._compiled.values())


def chosen_class(scores: tf.Tensor, target: tf.Tensor):
    """The predicted class, and the class to explain: `target`, or the predicted one where it is -1; int32 `(B,)`."""
    predicted = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return predicted, tf.where(target < 0, predicted, target)


def class_score(scores: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Column ``classes[b]`` of row b: `(B, K)` and `(B,)` to `(B,)`."""
    return tf.gather(scores, classes, batch_dims=1)


def check_choice(argument: str, value, valid):
    """Raises TfvidError unless `value` is one of `valid`."""
    if value not in valid:
        raise TfvidError(unknown(argument, value, valid))


def checked_clips(clips, model: keras.Model) -> tf.Tensor:
    """`clips` as a float32 tensor that the model takes.

    Raises:
      TfvidError: not floats, not of rank 5, none at all, another shape than the model's input, or not finite.
      ModelError: a model of several inputs, of integers, or of a fixed batch size.
    """
    clips = tf.convert_to_tensor(clips)
    if clips.shape.rank != 5 or 0 in clips.shape:
        raise TfvidError(f"expected clips of shape (B, T, H, W, C), got {tuple(clips.shape)}")
    if not clips.dtype.is_floating:
        raise TfvidError(
            f"expected float clips in the range the model was trained on, got {clips.dtype.name}; "
            "tfvid's models take tf.cast(clips, tf.float32) / 255"
        )
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        raise ModelError(f"expected a model with one input, clips (B, T, H, W, C), got {_shapes(inputs)}")
    for expected in inputs:
        if not tf.as_dtype(expected.dtype).is_floating:
            raise ModelError(f"expected a model of float clips, got one whose input is {expected.dtype}")
        if expected.shape[0] is not None:
            raise ModelError(f"expected a model of any batch size, got one of {expected.shape[0]} clips exactly")
        if not clips.shape.is_compatible_with(expected.shape):
            raise TfvidError(f"the model takes clips of shape {_shapes(expected)}, got {tuple(clips.shape)}")
    clips = tf.cast(clips, tf.float32)
    bad = np.flatnonzero(~tf.reduce_all(tf.math.is_finite(clips), axis=(1, 2, 3, 4)).numpy())
    if bad.size:
        raise TfvidError(f"clip {bad[0]} has NaN or infinite pixels ({bad.size} of {len(clips)} clips have)")
    return clips


def _class_indices(value, num_clips: int, num_classes: int, name: str, lowest: int) -> tf.Tensor:
    """`value` as int32 `(B,)`; None becomes -1, which stands for no class given."""
    if value is None:
        return tf.fill((num_clips,), -1)
    value = np.asarray(value)
    if value.dtype.kind not in "iu" or value.shape not in ((), (num_clips,)):
        raise TfvidError(
            f"{name}: expected an int or ints of shape ({num_clips},), one a clip, got {value.dtype} {value.shape}"
        )
    indices = np.broadcast_to(value, (num_clips,))
    if indices.min() < lowest or indices.max() >= num_classes:
        bad = indices[(indices < lowest) | (indices >= num_classes)][0]
        raise TfvidError(f"{name}: expected classes {lowest} to {num_classes - 1}, got {bad}")
    return tf.constant(indices, tf.int32)


# What a last layer's activation says about the model's output.
_OUTPUT = {
    keras.activations.linear: "logits",
    keras.activations.softmax: "probabilities",
    keras.activations.sigmoid: "probabilities",
}


def _activation(layer):
    """The activation a layer ends in; None where it does not say."""
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(layer, "activation", None)


def _looks_like(outputs) -> str:
    """ "probabilities" if every row is non-negative and sums to one, as half precision can tell; else "logits"."""
    outputs = outputs.numpy()
    is_distribution = (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2)
    return "probabilities" if is_distribution else "logits"


def _shapes(tensors) -> str:
    """The shapes of a tensor, or of a structure of them, for a message."""
    return str(tf.nest.map_structure(lambda tensor: tuple(getattr(tensor, "shape", ())), tensors))


def _without_activation(layer):
    """Leaves out the activation of `layer` for a while."""
    if isinstance(layer, keras.layers.Softmax):
        return replaced(layer, "call", lambda inputs, mask=None: inputs)
    return replaced(layer, "activation", keras.activations.linear)
