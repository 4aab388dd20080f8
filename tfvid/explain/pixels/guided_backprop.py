"""Guided backpropagation and the deconvolutional network: the gradient, with another rule at each ReLU.

At a ReLU with output y, a gradient g that arrives from above is handed down as

    gradient                  g [y > 0]
    deconvolution             g [g > 0]              Zeiler & Fergus, "Visualizing and Understanding ...", ECCV 2014
    guided backpropagation    g [g > 0] [y > 0]      Springenberg et al., "Striving for Simplicity", ICLR workshop 2015

The rule is set on the graph while the model is traced into it (`tf.Graph.gradient_override_map`), so it holds for a
ReLU layer, an activation of another layer and ``tf.nn.relu`` in a subclassed model's ``call`` alike, and the model
itself is never touched. Other activations, leaky ones among them, keep their own gradient.

Maps are sharp, but owe much to the picture and little to the class: see Adebayo et al., "Sanity Checks for Saliency
Maps", NeurIPS 2018.
"""

import tensorflow as tf

from tfvid.core.errors import ModelError
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
    """One run of the model whose gradient goes by another rule at each ReLU.

    Args:
      rule: a registered gradient's name.
    """

    def __init__(self, classifier, clips, target, rule: str):
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map({relu: rule for relu in RELUS}):
            super().__init__(classifier, clips, target)
        _check_relus(graph)

    def _differentiate(self):
        return tf.gradients(self.score, self.clips)[0]  # unlike a tape, it asks the graph for the rule


def _check_relus(graph: tf.Graph):
    """There is a ReLU, and none out of the rule's reach: in the graph of a loop or of another tf.function."""
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


class GuidedBackprop(PixelExplainer):
    """Guided backpropagation of the logit.

    Args:
      model: a Keras model with a ReLU, see `Explainer`.
      reduce: "abs_max", "abs_sum" or "sum", see `PixelExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Raises:
      ModelError: when called, if the model has no ReLU, or one inside a loop.

    Example:
      >>> GuidedBackprop(model)(clips).attribution.shape
      (2, 16, 224, 224)
    """

    rule = "TfvidGuidedRelu"

    def __init__(
        self, model, *, reduce: str = "abs_max", output: str = "auto", input_range="auto", batch_size: int = 8
    ):
        super().__init__(model, reduce=reduce, output=output, input_range=input_range, batch_size=batch_size)

    def _see(self, clips, target):
        return RuledRun(self.classifier, clips, target, self.rule)

    def _pixels(self, run):
        return run.gradient


class Deconv(GuidedBackprop):
    """The deconvolutional network's view of the clip, from the logit; options as `GuidedBackprop`."""

    rule = "TfvidDeconvRelu"
