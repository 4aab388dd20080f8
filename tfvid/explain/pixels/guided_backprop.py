"""Guided backpropagation and the deconvolutional network: the gradient with another rule at each ReLU.

A ReLU with output y passes an incoming gradient g on as

    gradient                  g [y > 0]
    deconvolution             g [g > 0]              Zeiler & Fergus, "Visualizing and Understanding ...", ECCV 2014
    guided backpropagation    g [g > 0] [y > 0]      Springenberg et al., "Striving for Simplicity", ICLR workshop 2015

`tf.Graph.gradient_override_map` sets the rule on the graph while the model is traced. So it holds for ReLU layers, for
activations of other layers and for ``tf.nn.relu`` in a subclassed model's ``call``, and the model stays unchanged.
Other activations, also leaky ReLUs, keep their gradient.

Maps are sharp, but depend much on the edges in the frames and little on the class: see Adebayo et al., "Sanity Checks
for Saliency Maps", NeurIPS 2018.
"""

import tensorflow as tf

from tfvid.core.errors import ModelError
from tfvid.explain.base import Attribution
from tfvid.explain.pixels.gradients import PixelExplainer, PixelRun

RELUS = ("Relu", "Relu6")  # TensorFlow's operations


@tf.RegisterGradient("TfvidDeconvRelu")
def _deconv(relu, g):
    return tf.nn.relu(g)


@tf.RegisterGradient("TfvidGuidedRelu")
def _guided(relu, g):
    y = relu.outputs[0]
    passes = y > 0 if relu.type == "Relu" else (y > 0) & (y < 6)
    return tf.where(passes, tf.nn.relu(g), tf.zeros_like(g))


class RuledRun(PixelRun):
    """One run of the model, whose gradient has another rule at each ReLU.

    Args:
      classifier: the model as a `Classifier`, prepared.
      clips: float32 `(B, T, H, W, C)`.
      target: int32 `(B,)`, -1 for the predicted class.
      rule: the name of a registered gradient.
    """

    def __init__(self, classifier, clips, target, rule: str):
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map({relu: rule for relu in RELUS}):
            super().__init__(classifier, clips, target)
        _check_relus(graph)

    def _differentiate(self):
        return tf.gradients(self.score, self.clips)[0]  # a tape would ignore the rule of the graph


def _check_relus(graph: tf.Graph):
    """Raises ModelError if there is no ReLU, or one that the rule cannot reach, in a loop or another tf.function."""
    definition = graph.as_graph_def()
    for function in definition.library.function:
        if any(node.op in RELUS for node in function.node_def):
            raise ModelError(
                f"a ReLU runs inside {function.signature.name!r}, a loop or a tf.function within the model, where its "
                "gradient cannot be replaced; use 'gradient', or unroll the loop (a recurrent layer's unroll=True)"
            )
    if not any(node.op in RELUS for node in definition.node):
        raise ModelError(
            "the model has no ReLU, where guided backpropagation and deconvolution differ from the gradient; "
            "use 'gradient'"
        )


class GuidedBackprop(PixelExplainer[Attribution]):
    """Guided backpropagation of the logit.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` with a ReLU that returns class scores `(B, K)`. It stays
        unchanged.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      ModelError: when called, if the model has no ReLU, or one inside a loop.

    Example:
      >>> GuidedBackprop(model)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    rule = "TfvidGuidedRelu"

    def _see(self, clips, target):
        return RuledRun(self.classifier, clips, target, self.rule)

    def _pixels(self, run):
        return run.gradient


class Deconv(GuidedBackprop):
    """The deconvolutional network: the gradient of the logit by the rule "deconvolution" above.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` with a ReLU that returns class scores `(B, K)`. It stays
        unchanged.
      reduce: how the values of a pixel's colours become one: "abs_max", the largest absolute value; "abs_sum", the sum
        of absolute values; or "sum", signed.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of clips explained at a time, 1 or more. It bounds memory and does not change results.

    Raises:
      ModelError: when called, if the model has no ReLU, or one inside a loop.
    """

    rule = "TfvidDeconvRelu"
