"""A video model as two functions of clips, ``logits`` and ``probabilities``, for every way to build and end a model."""

import re
from contextlib import ExitStack, nullcontext
from copy import copy
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice
from tfvid.network.checks import checked_clips, warn_of_layout
from tfvid.network.described import Described
from tfvid.network.fast_layers import fast_layers
from tfvid.network.input_range import read_ranges
from tfvid.network.model_format import OUTPUTS, declared
from tfvid.network.output_kind import (
    binary_output,
    check_probabilities,
    implied_by_graph,
    implied_by_layer,
    kind_for_units,
    logits_of,
    looks_like,
    probabilities_of,
)
from tfvid.network.python_calls import noting, plainly_raised
from tfvid.network.scaling import Scaling
from tfvid.network.shapes import shapes
from tfvid.network.tracing import LayerCall, Trace, computing_in, replaced, trace_calls, uncast
from tfvid.network.video_model import network_of

OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)  # a GPU's or TensorFlow's, NumPy's


class Classifier:
    """A video model as two functions of clips, `logits` and `probabilities`, in inference mode and float32.

    With `output="auto"`, the last operation or the activation of the last layer implies what the model returns:
    probabilities for softmax, probabilities of independent classes for sigmoid, logits for linear. For other last
    layers the scores of the first clips decide: rows that are non-negative and sum to one are probabilities.

    The logits of a model that returns probabilities are the inputs of its last activation. The activation is left out
    while the model is traced. If that is impossible (the softmax is written in ``call``, or the model uses the layer
    elsewhere, too), `logits` returns log-probabilities: the logits minus their log-sum-exp, which is the same number
    for all classes of a clip. For independent classes it returns log odds.

    A model with one output unit has two classes, 1 and 0. A sigmoid's p is the probability of class 1, and 1 - p
    that of class 0. The logits are the log odds of each class: z for class 1 and -z for class 0, where p = sigmoid(z).
    A linear unit is z if `output` is "logits", or if the model is compiled with a binary loss ``from_logits=True``;
    otherwise it raises an error, since it may be a regression.

    Clips in [0, 1] are scaled to the values that the model expects, see `input_range`. Gradients are those with respect
    to the clips in [0, 1]. `tfvid.declare` or a model card can also say the values.

    Where only scores are needed, the model may be any callable, e.g. a network of another framework:
    ``lambda clips: net(torch.from_numpy(clips).permute(0, 4, 1, 2, 3)).detach().numpy()``. It takes NumPy clips,
    float32 `(N, T, H, W, C)`, N up to the caller's `batch_size`, and returns scores `(N, K)`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` with one input and one output, or a `tfvid.VideoModel`.
      output: what the model returns, one of `tfvid.network.model_format.OUTPUTS`. "auto" is what was declared, or else
        what the last layer implies.
      any_callable: whether `model` may be any callable.
      input_range: the values (low, high) that the model expects for black and white. Clips in [0, 1] are scaled
        to them; other clips raise an error. None: the model gets clips unchanged. "auto": what was declared, or else
        what the model's first layers say (see `tfvid.network.input_range`), or else None. If the layers say a range
        and the first clips lie outside [0, 1], the model gets clips unchanged, with a warning.

    Attributes:
      model: the model, a function of clips: for a `tfvid.VideoModel`, its `network`.
      calls: its layer calls in order, from `prepare` on.
      num_classes: K, from `prepare` on; 2 for a model with one output unit, 1 for a `score`.
      num_units: the number of the model's output units: K, or 1.
      output: one of `OUTPUTS` other than "auto", from `prepare` on.
      scaling: the map from clips in [0, 1] to the values that the model expects.

    Raises:
      ModelError: `model` is not a Keras model, and `any_callable` is False or the model is not callable.
      TfvidError: an `output` or `input_range` that does not exist.
    """

    def __init__(self, model, output: str = "auto", any_callable: bool = False, input_range="auto"):
        check_choice("output", output, OUTPUTS)
        self.model = model = network_of(model)
        if not (isinstance(model, keras.Model) or any_callable and callable(model)):
            expected = "a Keras model or a function of clips" if any_callable else "a Keras model"
            raise ModelError(f"expected {expected}, got {type(model).__name__}")
        known = declared(model)
        self.output = known.output if output == "auto" else output
        self.scaling = Scaling(input_range, known.channels)
        if self.scaling.input_range == "auto":
            self.scaling.input_range = known.input_range
        self.calls: list[LayerCall] = []
        self.num_classes: Any = None  # int, from `prepare` on
        self.num_units: Any = None
        self._activation: keras.Layer | None = None  # the last layer, if it ends in a softmax or sigmoid
        self._precision: str | None = None

    @property
    def input_range(self) -> tuple[float, float] | None:
        """(low, high), the values that clips in [0, 1] are scaled to; None: the model gets clips unchanged."""
        return self.scaling.input_range

    @input_range.setter
    def input_range(self, value: tuple[float, float] | None):
        self.scaling.input_range = value

    @property
    def channels(self) -> str:
        """The order of the colours that the model takes, "rgb" or "bgr"."""
        return self.scaling.channels

    @property
    def borders(self):
        """The preprocessing if it adds borders to frames, as `tfvid.preprocess.letterbox` does; else None."""
        preprocess = self.model.description.preprocess if isinstance(self.model, Described) else None
        return preprocess if hasattr(preprocess, "back") else None

    def prepare(self, clips: tf.Tensor):
        """Traces the model and reads what it takes and returns, once. Checks the range of the clips at each call.

        Args:
          clips: clips to explain, float32 `(B, T, H, W, C)`.

        Raises:
          ModelError: the model does not classify clips, or does not say what its one linear output is.
          TfvidError: clips outside [0, 1] that would be scaled.
        """
        if self.num_classes is not None:
            self.scaling.check(clips)
        elif self.is_keras:
            self._prepare_keras(clips)
        else:
            self._prepare_callable(clips)

    def checked(self, clips) -> tf.Tensor:
        """Returns `clips` as float32 `(B, T, H, W, C)` that fit the model, see `tfvid.network.checks.checked_clips`.

        Clips in uint8 become [0, 1] if the model's `input_range` is known.

        Raises:
          TfvidError: clips of another type or shape, or not finite.
          ModelError: a model of several inputs, of integers, or of a fixed batch size.
        """
        clips = tf.convert_to_tensor(clips)
        if clips.dtype == tf.uint8 and self.input_range not in ("auto", None):
            clips = tf.cast(clips, tf.float32) / 255
        return checked_clips(clips, self.model)

    def _prepare_keras(self, clips):
        warn_of_layout(self.model)
        trace = self._tried(clips)
        self.calls, scores = trace.calls, trace.output
        if not tf.is_tensor(scores) or scores.shape.rank != 2 or scores.shape[1] is None:
            raise ModelError(
                f"expected a model with one output, class scores (B, K), got {shapes(scores)}{_one_output(self.model)}"
            )
        _check_weights(self.model)
        self.scaling.settle(clips, read_ranges(trace.clips))
        last = next((call.layer for call in self.calls if call.is_output), None)
        implied = implied_by_graph(uncast(scores)) or implied_by_layer(last)
        is_removable = implied_by_layer(last) == implied and sum(call.layer is last for call in self.calls) == 1
        if implied in ("probabilities", "sigmoid") and is_removable:
            self._activation = last
        if scores.shape[1] == 1 and implied == "probabilities" and self.output != "score":
            raise ModelError("expected scores of 2 classes or more, got a softmax over one class, which is always 1")
        self.num_units = scores.shape[1]
        self._settle_output(implied, lambda: self._outputs(clips[:2]).numpy())

    def _prepare_callable(self, clips):
        self.scaling.settle(clips, set())
        scores = np.asarray(self.model(self.scaling(clips[:2]).numpy()))
        if scores.ndim != 2 or len(scores) != len(clips[:2]) or scores.dtype.kind != "f":
            raise ModelError(
                f"expected a function of clips that returns float scores ({len(clips[:2])}, K) for "
                f"{len(clips[:2])} clips, got {scores.dtype} {scores.shape}"
            )
        self.num_units = scores.shape[1]
        self._settle_output(None, lambda: scores)

    def _settle_output(self, implied: str | None, first_scores):
        """Decides what the model returns.

        Args:
          implied: the kind of output that its last layer or operation implies, or None.
          first_scores: a function that returns the scores of the first clips, NumPy `(B, units)`.
        """
        if self.output == "auto" and self.num_units == 1:
            self.output = binary_output(self.model, implied)
        elif self.output == "auto":
            self.output = implied or looks_like(first_scores())
        self.output = kind_for_units(self.output, self.num_units)
        if self.output in ("probabilities", "sigmoid") and implied not in ("probabilities", "sigmoid"):
            check_probabilities(first_scores())
        self.num_classes = self.num_units if self.output == "score" else max(self.num_units, 2)

    def _tried(self, clips) -> Trace:
        """`trace_calls` of the model, which is built first if it has never run."""
        try:
            if not self.model.built and isinstance(self.model, keras.Sequential):  # a call would fix its batch size
                self.model.build((None, *clips.shape[1:]))
            elif not self.model.built:
                self.model(clips[:1], training=False)
            if isinstance(self.model, Described):
                self.model.settle_batch_size(clips)
            return trace_calls(self.model, tuple(clips.shape[1:]))
        except (TfvidError, *OUT_OF_MEMORY, tf.errors.OpError):  # errors that say nothing about the model's inputs
            raise
        except Exception as error:  # a user's own ``call`` may raise anything
            reason = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")  # without Keras' bold print
            shape = (None, *clips.shape[1:])
            raise ModelError(f"the model cannot be run on one input, clips {shape}: {reason}") from error

    @property
    def is_keras(self) -> bool:
        """Whether the model is a Keras model, with layers and gradients, not just a function."""
        return isinstance(self.model, keras.Model)

    @property
    def has_logits(self) -> bool:
        """Whether `logits` are the model's own, not computed from its probabilities."""
        return self.output in ("logits", "sigmoid_logits", "score") or self._activation is not None

    def logits(self, clips) -> tf.Tensor:
        """Returns the logits, float32 `(B, K)`, of clips, float32 `(B, T, H, W, C)`; for "score", the scores."""
        if not self.has_logits:
            return logits_of(self.probabilities(clips), self.output, self.num_units)
        is_activated = self.output in ("probabilities", "sigmoid")
        with _without_activation(self._activation) if is_activated else nullcontext():
            outputs = self._outputs(clips)
        is_binary = self.num_units == 1 and self.output != "score"
        return tf.concat([-outputs, outputs], axis=1) if is_binary else outputs

    def probabilities(self, clips) -> tf.Tensor:
        """Returns the class probabilities, float32 `(B, K)`, of clips, float32 `(B, T, H, W, C)`.

        For "sigmoid" and "sigmoid_logits" the classes are independent; for "score", these are the scores.
        """
        return probabilities_of(self._outputs(clips), self.output)

    def computing_in(self, precision: str) -> "Classifier":
        """Returns this classifier, prepared, with layers that compute in half precision instead of float32.

        The weights stay in float32, and so does the layer that returns the scores.

        Args:
          precision: "bfloat16" or "float16".
        """
        if not self.is_keras:
            raise ModelError(f"precision {precision!r} needs a Keras model, got {type(self.model).__name__}")
        other = copy(self)
        other._precision = f"mixed_{precision}"
        return other

    def run(self, clips, layer: keras.Layer) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the input and the output of `layer`, which runs once, while the model runs on `clips`."""
        seen, call = [], layer.call

        def watching(inputs, *args, **kwargs):
            seen.append((inputs, call(inputs, *args, **kwargs)))
            return seen[-1][1]

        with replaced(layer, "call", watching):
            self._outputs(clips)
        return seen[0]

    def _outputs(self, clips):
        """The model's outputs, float32 `(B, units)`, for clips before `scaling`."""
        clips = self.scaling(clips)
        if not self.is_keras:
            function = noting(lambda x: np.asarray(self.model(x), np.float32))
            with plainly_raised():  # where this is not traced
                scores = tf.numpy_function(function, [clips], tf.float32)
            return _all_or_none(tf.ensure_shape(scores, (None, self.num_units)))
        with ExitStack() as stack:
            if self._precision:
                last = [call.layer for call in self.calls if call.is_output]
                stack.enter_context(computing_in(self.model, self._precision, last))
            stack.enter_context(fast_layers(self.model))
            return _all_or_none(tf.cast(self.model(clips, training=False), tf.float32))


def chosen_class(scores: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the predicted classes and the classes to explain, each int32 `(B,)`.

    Args:
      scores: float `(B, K)`.
      target: int32 `(B,)`; -1 stands for the predicted class.
    """
    predicted = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return predicted, tf.where(target < 0, predicted, target)


def class_score(scores: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Returns the score of one class for each clip, `(B,)`, from scores `(B, K)` and classes, ints `(B,)`."""
    return tf.gather(scores, classes, batch_dims=1)


def _all_or_none(scores: tf.Tensor) -> tf.Tensor:
    """Scores `(B, K)`, all NaN for a clip with one that is NaN or +inf, so that no other class becomes the top class.

    An argmax ignores NaN, and a softmax makes 0 of all values beside +inf. -inf is a class that is ruled out.
    """
    return tf.where(tf.reduce_all(scores < np.inf, axis=-1, keepdims=True), scores, np.nan)


def _check_weights(model):
    """Raises ModelError if a weight is NaN; a ReLU may hide NaN from the scores."""
    for weight in model.weights:
        if tf.as_dtype(weight.dtype).is_floating and tf.reduce_any(tf.math.is_nan(weight)):
            raise ModelError(f"the model's weight {weight.path!r} has NaN values; a training that diverged leaves such")


def _one_output(model) -> str:
    """The end of a message: how to explain one output of a functional model with several."""
    if len(getattr(model, "outputs", None) or []) < 2:
        return ""
    return f"; choose one of {', '.join(model.output_names)}: tfvid.VideoModel(model, head={model.output_names[0]!r})"


def _without_activation(layer):
    """Inside, `layer` runs without its activation."""
    if isinstance(layer, keras.layers.Softmax):
        return replaced(layer, "call", lambda inputs, mask=None: inputs)
    return replaced(layer, "activation", keras.activations.linear)
