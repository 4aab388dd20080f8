"""Whether a model returns logits or probabilities: read from its last layer, or from its scores."""

import keras
import numpy as np

from tfvid.core.errors import ModelError

# What the activation of the last layer says about the model's output.
BY_ACTIVATION = {
    keras.activations.linear: "logits",
    keras.activations.softmax: "probabilities",
    keras.activations.sigmoid: "probabilities",
}
_ROUNDING = 1e-2  # of probabilities in half precision


def activation_of(layer) -> object | None:
    """Returns the activation function that a layer ends in; None if the layer has none that can be read."""
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(layer, "activation", None)


def looks_like(outputs: np.ndarray) -> str:
    """Returns "probabilities" if every row of `outputs` `(B, K)` is non-negative and sums to one, else "logits"."""
    is_distribution = (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=_ROUNDING)
    return "probabilities" if is_distribution else "logits"


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
      said: what the activation of its last layer says, "logits", "probabilities" or None.

    Raises:
      ModelError: neither says that the unit is a class's score; it may as well be a regression.
    """
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    from_logits = getattr(loss, "from_logits", None) if "binary" in _name(loss) else None
    if said == "probabilities":
        return said
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
