"""Applies the rules of excitation backprop to all layers of a model."""

from contextlib import ExitStack, contextmanager

import keras
from keras import layers

from tfvid.core.errors import ModelError
from tfvid.explain.excitation import rules
from tfvid.explain.excitation.recurrent import RECURRENT, recurrent
from tfvid.explain.excitation.rules import INSTEAD
from tfvid.network.classifier import Classifier
from tfvid.network.private_api import inner_layers
from tfvid.network.tracing import replaced


@contextmanager
def excited(classifier: Classifier, gates: str, contrastive: bool):
    """Inside, gradients of the model's logits are the probabilities of excitation backprop.

    Args:
      classifier: the model as a `Classifier`, prepared.
      gates: the rule for gates of recurrent layers, "signal" or "gradient".
      contrastive: whether to subtract the probabilities of the class's opposite.

    Raises:
      ModelError: a layer without a rule, a softmax that is not a layer, or no top layer.
    """
    if not classifier.has_logits:
        raise ModelError(
            "excitation backprop starts from the logits, which a softmax written in the model's call hides; "
            f"end the model in a Softmax layer, or {INSTEAD}"
        )
    calls = classifier.calls
    top = next((call.layer for call in reversed(calls) if isinstance(call.layer, rules.LINEAR)), None)
    is_binary = classifier.num_units == 1
    if (contrastive or is_binary) and top is None:
        which = "contrastive excitation backprop" if contrastive else "excitation backprop of a model with one output"
        raise ModelError(f"{which} expects a dense layer or a convolution before the scores")
    ran = [call.layer for call in calls if not (call.is_output and isinstance(call.layer, layers.Softmax))]
    with ExitStack() as stack:
        for path, part in _parts(classifier.model):
            if not isinstance(part, keras.Layer) or any(part is layer for layer in ran):
                if part is top:
                    call = rules.linear(part, contrastive, signed=is_binary)
                else:
                    call = _excited_call(path, part, gates)
                if call is not None:
                    stack.enter_context(replaced(part, "call", call))
        yield


def _parts(layer, prefix: str = ""):
    """Yields (path, part) for the parts of `layer`: layers other than containers, and operations like ``x + y``."""
    operations = getattr(layer, "operations", ())  # a functional model has them
    yield from ((prefix + part.name, part) for part in operations if not isinstance(part, keras.Layer))
    for inner in inner_layers(layer):
        if _is_container(inner):
            yield from _parts(inner, f"{prefix}{inner.name}/")
        else:
            yield prefix + inner.name, inner


def _is_container(layer) -> bool:
    """Whether `layer` is a model, or a user's own layer with inner layers and no weights of its own."""
    if isinstance(layer, (keras.Model, layers.TimeDistributed)):
        return True
    is_own = not type(layer).__module__.startswith("keras.")
    inner = inner_layers(layer)
    return is_own and bool(inner) and len(layer.weights) == sum(len(part.weights) for part in inner)


def _excited_call(path: str, part, gates: str):
    """The ``call`` with the rule of `part` as its gradient; None if its gradient is its rule."""
    if isinstance(part, rules.LINEAR):
        return rules.linear(part)
    if isinstance(part, RECURRENT):
        return recurrent(part, path, gates)
    for rule, kinds, operations in _RULES:
        if isinstance(part, kinds) or not isinstance(part, keras.Layer) and type(part).__name__ in operations:
            return rule and rule(part)
    raise ModelError(f"layer {path!r} ({type(part).__name__}): excitation backprop has no rule for it; {INSTEAD}")


# (rule, layers, names of operations in a functional model); an operation is what ``keras.ops`` puts there.
_RULES = (
    (rules.separable, rules.SEPARABLE, ()),
    (rules.average, rules.AVERAGES, ("Mean",)),
    (rules.addition, rules.ADDITIONS, ("Add",)),
    (rules.product, (layers.Multiply,), ("Multiply", "Divide", "TrueDivide")),
    (rules.one_to_one, rules.ONE_TO_ONE, ("Relu", "Relu6", "LeakyRelu", "Elu", "Gelu", "Silu", "Tanh", "Sigmoid")),
    (
        None,
        rules.ORDINARY,
        ("Reshape", "Transpose", "Concatenate", "Stack", "Squeeze", "ExpandDims", "GetItem", "Max", "Maximum", "Pad"),
    ),
)
