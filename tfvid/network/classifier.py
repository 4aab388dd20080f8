"""A video model as two functions of clips, ``logits`` and ``probabilities``, whatever it is and returns."""

import re
from contextlib import ExitStack, nullcontext
from copy import copy

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, TfvidError, check_choice, warn_caller
from tfvid.network.fast_layers import fast_layers
from tfvid.network.input_range import UNSCALED, agreed, read_ranges
from tfvid.network.model_format import OUTPUTS, checked_range, declared
from tfvid.network.tracing import LayerCall, Trace, computing_in, replaced, trace_calls


class Classifier:
    """A video model as two functions of clips, `logits` and `probabilities`, run in inference mode, in float32.

    With `output="auto"` the last layer's activation tells what the model returns: softmax or sigmoid means
    probabilities, linear means logits. Where the last layer does not tell (a custom layer, a softmax written in a
    subclassed model's ``call``), the first clips do: rows that are non-negative and sum to one are probabilities.

    The logits of a model that returns probabilities are the values before its last activation, taken by leaving
    that activation out while the model is traced. Where it cannot be left out (again, written in ``call``, or a layer
    that the model also uses elsewhere), they are the log-probabilities instead: the logits less their log-sum-exp,
    which is the same number for all classes, but not a constant.

    A model with a single output unit has two classes, 1 and 0. A sigmoid's p is the probability of class 1, and 1 - p
    that of class 0. The logits are the log odds of each class: z for class 1 and -z for class 0, where p = sigmoid(z).
    A linear unit is taken for z where `output` is "logits", or where the model is compiled with a binary loss
    ``from_logits=True``; otherwise it is refused, for it may as well be a regression.

    Clips in [0, 1] are brought to the values that the model takes, see `input_range`; gradients are those with respect
    to the clips in [0, 1]. What the model takes can also be told with `tfvid.declare`, or stand in its card.

    Where only scores are needed, the model may be anything that can be called, e.g. a network of another framework:
    ``lambda clips: net(torch.from_numpy(clips).permute(0, 4, 1, 2, 3)).detach().numpy()``. It is given NumPy clips,
    float32 `(N, T, H, W, C)`, N up to the `batch_size` of what calls it, and returns scores `(N, K)`.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)`, one input and one output.
      output: "auto", "logits" or "probabilities". "auto" is what was declared, or else as above.
      any_callable: whether `model` may be any callable.
      input_range: the values (low, high) that the model takes for black and white. Clips in [0, 1] are scaled to them;
        others are refused. None: clips are given to the model as they are. "auto": what was declared, or else what the
        model's first layers say (see `tfvid.network.input_range`), or else as they are. Where the layers say it and
        the first clips lie outside [0, 1], these are given to the model as they are, with a warning.

    Attributes:
      model: the model.
      calls: its layer calls in order, from `prepare` on.
      num_classes: K, from `prepare` on; 2 for a model with one output unit.
      num_units: how many numbers the model returns for a clip: K, or 1.
      output: "logits" or "probabilities", from `prepare` on.
      input_range: (low, high), what clips in [0, 1] are scaled to, from `prepare` on; None where they are given to the
        model as they are.
      channels: the order of the colours that the model takes, "rgb" or "bgr".
    """

    def __init__(self, model, output: str = "auto", any_callable: bool = False, input_range="auto"):
        check_choice("output", output, OUTPUTS)
        if not (isinstance(model, keras.Model) or any_callable and callable(model)):
            expected = "a Keras model or a function of clips" if any_callable else "a Keras model"
            raise ModelError(f"expected {expected}, got {type(model).__name__}")
        known = declared(model)
        self.model = model
        self.output = known.output if output == "auto" else output
        self.input_range = checked_range(input_range)
        if self.input_range == "auto":
            self.input_range = known.input_range
        self.channels = known.channels
        self.calls: list[LayerCall] = []
        self.num_classes: int | None = None
        self.num_units: int | None = None  # what the model returns for a clip: K, or 1 for two classes
        self._activation: keras.Layer | None = None  # the last layer, where it ends in a softmax or sigmoid
        self._precision: str | None = None
        self._unused_range: tuple | None = None  # read from the model, but its first clips were not in [0, 1]

    def prepare(self, clips: tf.Tensor):
        """Learns what the model takes and returns, once; checks the range of the clips each time.

        Args:
          clips: real ones, float32 `(B, T, H, W, C)`.

        Raises:
          ModelError: a model that does not classify clips, or does not say what its one linear output is.
          TfvidError: clips outside [0, 1] for a model whose input range they are to be scaled to.
        """
        if self.num_classes is not None:
            return self._check_range(clips)
        if not self.is_keras:
            return self._prepare_callable(clips)
        trace = self._tried(clips)
        self.calls, scores = trace.calls, trace.output
        if not tf.is_tensor(scores) or scores.shape.rank != 2 or scores.shape[1] is None:
            raise ModelError(
                f"expected a model with one output, class scores (B, K), got {_shapes(scores)}{_one_output(self.model)}"
            )
        _check_weights(self.model)
        self._settle_range(clips, read_ranges(trace.clips))
        last = next((call.layer for call in self.calls if call.is_output), None)
        activation = _activation(last)
        ends_in_it = _OUTPUT.get(activation) == "probabilities" and sum(call.layer is last for call in self.calls) == 1
        self._activation = last if ends_in_it else None
        self.num_units = scores.shape[1]
        if self.num_units == 1:
            self._settle_binary(_OUTPUT.get(activation), is_softmax=activation is keras.activations.softmax)
        elif self.output == "auto":
            self.output = _OUTPUT.get(activation) or _looks_like(self._outputs(clips[:2]).numpy())
        if self.output == "probabilities" and _OUTPUT.get(activation) != "probabilities":
            _check_probabilities(self._outputs(clips[:2]).numpy())
        self.num_classes = max(self.num_units, 2)

    def _settle_range(self, clips, ranges: set):
        """Decides the range that clips in [0, 1] are scaled to.

        Args:
          clips: the first clips.
          ranges: what the model's branches say, from `read_ranges`.
        """
        if self.input_range == "auto":
            read = agreed(ranges)
            self.input_range = read if read is not None and _is_unit(clips) else None
            if read is None and ranges - {UNSCALED} and _is_unit(clips):
                warn_caller(_contradiction(ranges))
            elif read is not None and self.input_range is None:
                low, high = self._unused_range = read
                warn_caller(
                    f"expected clips in [0, 1], got {_values(clips)}; they are given to the model as they are, and its "
                    f"first layers take {low:g} to {high:g}; input_range=None says that this is right"
                )
        self._check_range(clips)

    def _check_range(self, clips):
        if self._unused_range not in (None, (0.0, 1.0)) and _is_unit(clips) and tf.reduce_max(clips) > 0:
            low, high = self._unused_range
            warn_caller(
                f"got clips of {_values(clips)} after clips outside [0, 1]; they are given to the model as they are, "
                f"and its first layers take {low:g} to {high:g}; input_range=({low:g}, {high:g}) scales such clips"
            )
        if self.input_range is not None and not _is_unit(clips):
            low, high = self.input_range
            raise TfvidError(
                f"expected clips in [0, 1], which are scaled to the model's {low:g} to {high:g}, got {_values(clips)}; "
                "input_range=None gives the model clips as they are"
            )

    def _settle_binary(self, said: str | None, is_softmax: bool):
        """Decides what a model's one output unit is; `said` is what its activation says."""
        if is_softmax:
            raise ModelError("expected scores of 2 classes or more, got a softmax over one class, which is always 1")
        loss = getattr(self.model, "loss", None) if getattr(self.model, "compiled", False) else None
        from_logits = getattr(loss, "from_logits", None) if "binary" in _name(loss) else None
        if self.output != "auto":
            return
        if said == "probabilities":
            self.output = said
        elif from_logits:
            self.output = "logits"
        elif from_logits is False and said is None:  # a sigmoid in the model's own ``call``
            self.output = "probabilities"
        else:
            raise ModelError(
                "the model has one output and no sigmoid behind it: output='logits' says that it is the logit of "
                "class 1 against class 0, output='probabilities' that it is the probability of class 1"
            )

    def _tried(self, clips) -> Trace:
        """`trace_calls` of the model, built first where it never ran."""
        try:
            if not self.model.built and isinstance(self.model, keras.Sequential):  # a call would fix its batch size
                self.model.build((None, *clips.shape[1:]))
            elif not self.model.built:
                self.model(clips[:1], training=False)
            return trace_calls(self.model, tuple(clips.shape[1:]))
        except (TfvidError, *OUT_OF_MEMORY, tf.errors.OpError):  # not that the model takes something else
            raise
        except Exception as error:  # a user's own ``call`` raises what it likes
            reason = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")  # Keras prints some of it in bold
            shape = (None, *clips.shape[1:])
            raise ModelError(f"the model cannot be run on one input, clips {shape}: {reason}") from error

    @property
    def is_keras(self) -> bool:
        """Whether the model has layers and gradients, or is a mere function."""
        return isinstance(self.model, keras.Model)

    @property
    def has_logits(self) -> bool:
        """Whether `logits` are the model's own, not the logarithms of its probabilities."""
        return self.output == "logits" or self._activation is not None

    def _prepare_callable(self, clips):
        self._settle_range(clips, set())
        scores = np.asarray(self.model(self._to_model(clips[:2]).numpy()))
        if scores.ndim != 2 or len(scores) != len(clips[:2]) or scores.dtype.kind != "f":
            raise ModelError(
                f"expected a function of clips that returns float scores ({len(clips[:2])}, K) for "
                f"{len(clips[:2])} clips, got {scores.dtype} {scores.shape}"
            )
        self.num_units = scores.shape[1]
        if self.num_units == 1:
            self._settle_binary(None, is_softmax=False)
        elif self.output == "auto":
            self.output = _looks_like(scores)
        if self.output == "probabilities":
            _check_probabilities(scores)
        self.num_classes = max(self.num_units, 2)

    def logits(self, clips) -> tf.Tensor:
        """Clips float32 `(B, T, H, W, C)` to logits float32 `(B, K)`; the log odds where the model has one output."""
        if self.output == "probabilities" and self._activation is None:
            logs = tf.math.log(tf.maximum(self.probabilities(clips), TINY))  # finite also where p rounds to 0
            return logs if self.num_units > 1 else logs - logs[:, ::-1]
        with nullcontext() if self.output == "logits" else _without_activation(self._activation):
            outputs = self._outputs(clips)
        return outputs if self.num_units > 1 else tf.concat([-outputs, outputs], axis=1)

    def probabilities(self, clips) -> tf.Tensor:
        """Clips float32 `(B, T, H, W, C)` to class probabilities float32 `(B, K)`."""
        outputs = self._outputs(clips)
        if self.num_units == 1:
            if self.output == "logits":
                return tf.sigmoid(tf.concat([-outputs, outputs], axis=1))
            return tf.concat([1 - outputs, outputs], axis=1)
        return outputs if self.output == "probabilities" else tf.nn.softmax(outputs)

    def computing_in(self, precision: str) -> "Classifier":
        """This classifier, prepared, with a model that computes in "bfloat16" or "float16" where it did in float32.

        The weights stay as they are, and so does the layer that makes the scores.
        """
        if not self.is_keras:
            raise ModelError(f"precision {precision!r} needs a Keras model, got {type(self.model).__name__}")
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
        """What the model returns for clips in [0, 1] (or as they are), float32 `(B, units)`."""
        clips = self._to_model(clips)
        if not self.is_keras:
            scores = tf.numpy_function(lambda x: np.asarray(self.model(x), np.float32), [clips], tf.float32)
            return _all_or_none(tf.ensure_shape(scores, (None, self.num_units)))
        with ExitStack() as stack:
            if self._precision:
                last = [call.layer for call in self.calls if call.is_output]
                stack.enter_context(computing_in(self.model, self._precision, last))
            stack.enter_context(fast_layers(self.model))
            return _all_or_none(tf.cast(self.model(clips, training=False), tf.float32))

    def _to_model(self, clips):
        """Clips in [0, 1], RGB, in the range and the order of colours that the model takes."""
        if self.channels == "bgr":
            clips = tf.reverse(clips, axis=[-1])
        low, high = self.input_range or (0.0, 1.0)
        return clips if (low, high) == (0.0, 1.0) else clips * (high - low) + low


OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)  # a GPU's or TensorFlow's, NumPy's
TINY = np.finfo(np.float32).tiny
SLACK = 0.5  # by which clips may lie outside [0, 1]: measures add noise to them; another range lies further outside


def _is_unit(clips) -> bool:
    """Whether clips are in [0, 1], give or take `SLACK`."""
    return bool(tf.reduce_min(clips) >= -SLACK) and bool(tf.reduce_max(clips) <= 1 + SLACK)


def _contradiction(ranges: set) -> str:
    """The warning for branches that say different ranges."""
    low, high = max(ranges - {UNSCALED})
    said = " and ".join(f"{low:g} to {high:g}" for low, high in sorted(ranges - {UNSCALED}))
    unscaled = "; another branch uses the clips unscaled" if UNSCALED in ranges else ""
    return (
        f"the model's first layers take {said}{unscaled}; clips in [0, 1] are given to the model as they are; "
        f"say the range that the model takes, e.g. input_range=({low:g}, {high:g}), or input_range=None for clips as "
        "they are"
    )


def _values(clips) -> str:
    return f"{float(tf.reduce_min(clips)):g} to {float(tf.reduce_max(clips)):g}"


def _name(loss) -> str:
    """Of a loss, or of its class, in small letters; "" for none."""
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss) or "").lower()


def _all_or_none(scores: tf.Tensor) -> tf.Tensor:
    """Scores `(B, K)`; a clip's are all NaN where one is NaN or +inf, so that no other class is taken for the top one.

    An argmax passes over NaN, and a softmax makes 0 of whatever stands beside +inf. -inf is a class ruled out.
    """
    return tf.where(tf.reduce_all(scores < np.inf, axis=-1, keepdims=True), scores, np.nan)


def chosen_class(scores: tf.Tensor, target: tf.Tensor):
    """The predicted class, and the class to explain: `target`, or the predicted one where it is -1; int32 `(B,)`."""
    predicted = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return predicted, tf.where(target < 0, predicted, target)


def class_score(scores: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Column ``classes[b]`` of row b: `(B, K)` and `(B,)` to `(B,)`."""
    return tf.gather(scores, classes, batch_dims=1)


def checked_clips(clips, model) -> tf.Tensor:
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
        raise ModelError(
            f"expected a model with one input, clips (B, T, H, W, C), got {_shapes(inputs)}; to explain one of "
            f"{', '.join(one.name for one in inputs)}, wrap it in a model of that input which feeds the others itself"
        )
    for expected in inputs:
        if not tf.as_dtype(expected.dtype).is_floating:
            raise ModelError(
                f"expected a model of float clips, got one whose input is {expected.dtype}, which has no gradient; "
                "leave out its cast, or explain a function of float clips by a method that needs scores only"
            )
        if expected.shape[0] is not None:
            raise ModelError(f"expected a model of any batch size, got one of {expected.shape[0]} clips exactly")
        if not clips.shape.is_compatible_with(expected.shape):
            raise TfvidError(f"the model takes clips of shape {_shapes(expected)}, got {tuple(clips.shape)}")
    clips = tf.cast(clips, tf.float32)
    bad = np.flatnonzero(~tf.reduce_all(tf.math.is_finite(clips), axis=(1, 2, 3, 4)).numpy())
    if bad.size:
        raise TfvidError(f"clip {bad[0]} has NaN or infinite pixels ({bad.size} of {len(clips)} clips have)")
    return clips


def class_indices(value, num_clips: int, num_classes: int, name: str = "target", lowest: int = 0) -> np.ndarray:
    """An int, or ints `(B,)`, as int32 `(B,)`.

    Raises:
      TfvidError: anything else, or a class that the model does not have; names the argument, `name`.
    """
    value = np.asarray(value)
    if value.dtype.kind not in "iu" or value.shape not in ((), (num_clips,)):
        raise TfvidError(
            f"{name}: expected an int or ints of shape ({num_clips},), one a clip, got {value.dtype} {value.shape}"
        )
    indices = np.broadcast_to(value, (num_clips,))
    if indices.min() < lowest or indices.max() >= num_classes:
        bad = indices[(indices < lowest) | (indices >= num_classes)][0]
        raise TfvidError(f"{name}: expected classes {lowest} to {num_classes - 1}, got {bad}")
    return indices.astype(np.int32)


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


def _looks_like(outputs: np.ndarray) -> str:
    """ "probabilities" if every row is non-negative and sums to one, as half precision can tell; else "logits"."""
    is_distribution = (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2)
    return "probabilities" if is_distribution else "logits"


def _check_probabilities(outputs: np.ndarray):
    """Raises ModelError where what are said to be probabilities are none, as half precision can tell."""
    if (outputs < -1e-2).any() or (outputs > 1 + 1e-2).any():
        raise ModelError(
            f"expected probabilities, got scores of {outputs.min():g} to {outputs.max():g}; output='logits' says that "
            "the model returns logits"
        )


def _check_weights(model):
    """Raises ModelError where a weight is NaN: whatever such a model answers, a ReLU may hide it."""
    for weight in model.weights:
        if tf.as_dtype(weight.dtype).is_floating and tf.reduce_any(tf.math.is_nan(weight)):
            raise ModelError(f"the model's weight {weight.path!r} has NaN values; a training that diverged leaves such")


def _one_output(model) -> str:
    """How to explain one output of a functional model of several, as the end of a message."""
    if len(getattr(model, "outputs", None) or []) < 2:
        return ""
    return f"; choose one of {', '.join(model.output_names)}: keras.Model(model.inputs, model.outputs[0])"


def _shapes(tensors) -> str:
    """The shapes of a tensor, or of a structure of them, for a message."""
    return str(tf.nest.map_structure(lambda tensor: tuple(getattr(tensor, "shape", ())), tensors))


def _without_activation(layer):
    """Leaves out the activation of `layer` for a while."""
    if isinstance(layer, keras.layers.Softmax):
        return replaced(layer, "call", lambda inputs, mask=None: inputs)
    return replaced(layer, "activation", keras.activations.linear)
