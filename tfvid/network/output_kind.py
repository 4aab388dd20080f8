"""What the numbers that a model returns are, and how they become probabilities.

The kinds are those of `tfvid.network.model_format.OUTPUTS`. A model's last layer or its last operation implies the
kind, or else its first scores do.
"""

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError, warn_caller

_BY_ACTIVATION = {
    keras.activations.linear: "logits",
    keras.activations.softmax: "probabilities",
    keras.activations.sigmoid: "sigmoid",
}
_BY_OPERATION = {"Softmax": "probabilities", "Sigmoid": "sigmoid"}
# For a model with one unit, whose two classes exclude one another.
_OF_ONE_UNIT = {"sigmoid": "probabilities", "sigmoid_logits": "logits"}
TINY = np.finfo(np.float32).tiny
_ROUNDING = 1e-2  # of probabilities in half precision


def activation_of(layer) -> object | None:
    """Returns the activation function that a layer ends in; None if the layer has none that can be read."""
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    if hasattr(layer, "cell"):  # a recurrent layer multiplies the activation by a gate
        return None
    return getattr(layer, "activation", None)


def implied_by_layer(layer) -> str | None:
    """Returns the kind of output that the activation of the last layer implies; None if it implies nothing."""
    return _BY_ACTIVATION.get(activation_of(layer))


def implied_by_graph(output: tf.Tensor) -> str | None:
    """Returns the kind of output that the operation behind a symbolic output implies; None for other operations."""
    return _BY_OPERATION.get(output.op.type)


def looks_like(outputs: np.ndarray) -> str:
    """Returns "probabilities" if every row of `outputs` `(B, K)` is non-negative and sums to one, else "logits".

    Warns if all values lie in [0, 1] without such sums: they may be independent probabilities.
    """
    is_unit = (outputs >= 0).all() and (outputs <= 1 + _ROUNDING).all()
    if is_unit and np.allclose(outputs.sum(axis=-1), 1, atol=_ROUNDING):
        return "probabilities"
    if is_unit and outputs.any():
        warn_caller(
            "the model's first scores lie in [0, 1] and do not sum to 1; they are taken for logits: output='sigmoid' "
            "says that they are probabilities of independent classes, output='logits' that this is right"
        )
    return "logits"


def kind_for_units(kind: str, units: int) -> str:
    """Returns the kind of output for a number of units: one unit means two classes that exclude one another."""
    return _OF_ONE_UNIT.get(kind, kind) if units == 1 else kind


def probabilities_of(outputs: tf.Tensor, kind: str) -> tf.Tensor:
    """Returns the probabilities `(B, K)` for outputs `(B, units)` of a kind; for "score", the outputs.

    A single unit is class 1 of two classes.
    """
    if kind == "score":
        return outputs
    if outputs.shape[-1] == 1:
        outputs = tf.concat([-outputs, outputs] if kind == "logits" else [1 - outputs, outputs], axis=1)
        return tf.sigmoid(outputs) if kind == "logits" else outputs
    if kind == "logits":
        return tf.nn.softmax(outputs)
    return tf.sigmoid(outputs) if kind == "sigmoid_logits" else outputs


def logits_of(probabilities: tf.Tensor, kind: str, units: int) -> tf.Tensor:
    """Returns logits for probabilities `(B, K)` where the model's own logits are unknown.

    Log-probabilities, which are the logits minus a number that is the same for all classes of a clip. Log odds for
    independent classes and for one unit. All are finite, also where a probability rounds to 0.
    """
    logs = tf.math.log(tf.maximum(probabilities, TINY))
    if units == 1:
        return logs - logs[:, ::-1]
    return logs - tf.math.log(tf.maximum(1 - probabilities, TINY)) if kind == "sigmoid" else logs


def check_probabilities(outputs: np.ndarray):
    """Raises ModelError if `outputs`, which should be probabilities, lie outside [0, 1]."""
    if (outputs < -_ROUNDING).any() or (outputs > 1 + _ROUNDING).any():
        raise ModelError(
            f"expected probabilities, got scores of {outputs.min():g} to {outputs.max():g}; output='logits' says that "
            "the model returns logits"
        )


def binary_output(model, said: str | None) -> str:
    """Returns what the one output unit of a model is.

    Args:
      model: the model; a binary loss that it is compiled with says ``from_logits``.
      said: the kind that its last layer or operation implies, or None.

    Raises:
      ModelError: neither says that the unit is a class's score; it may as well be a regression.
    """
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    from_logits = getattr(loss, "from_logits", None) if "binary" in _name(loss) else None
    if said in ("probabilities", "sigmoid"):
        return "probabilities"
    if from_logits:
        return "logits"
    if from_logits is False and said is None:  # a sigmoid in the model's own ``call``
        return "probabilities"
    raise ModelError(
        "the model has one output and no sigmoid behind it: output='logits' says that it is the logit of "
        "class 1 against class 0, output='probabilities' that it is the probability of class 1"
    )


def _name(loss) -> str:
    """The name of a loss or of its class, in lower case; "" for None."""
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss) or "").lower()
