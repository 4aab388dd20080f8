"""Models of other makes: finds the adapter of a model by the module and name of its class.

No other package is imported for this.
"""

import dataclasses
import importlib

import keras

from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError
from tfvid.network.classifier import Classifier
from tfvid.network.model_format import declare, declared
from tfvid.network.video_model import VideoModel

# The make of a class of a module, and its adapter. The first one that a model's classes fit counts.
MAKES = (
    ("torch", "Module", "tfvid.adapters.torch_model:TorchModel"),
    ("tf_keras", "Layer", "tfvid.adapters.keras2:Keras2Model"),
    ("keras", "Layer", "tfvid.adapters.tensorflow_model:TensorFlowModel"),
    ("onnxruntime", "InferenceSession", "tfvid.adapters.onnx_model:OnnxModel"),
    ("openvino", "CompiledModel", "tfvid.adapters.openvino_model:OpenVinoModel"),
    *(
        ("tensorflow", name, "tfvid.adapters.tensorflow_model:TensorFlowModel")
        for name in ("AutoTrackable", "ConcreteFunction", "PolymorphicFunction")  # a tf.Module is an AutoTrackable
    ),
)
KNOWN = (
    "a model of Keras, PyTorch (torch.nn.Module), Keras 2 (tf_keras), TensorFlow (a SavedModel, a TFSMLayer, "
    "a tf.Module, a tf.function), ONNX Runtime (InferenceSession) or OpenVINO (CompiledModel)"
)


def adapt(model, **options) -> keras.Model:
    """Returns a model of another make as a Keras model, which all explainers take.

    The adapter takes the tensors that the model takes and returns what it returns. `tfvid.VideoModel` says how clips
    become these tensors, e.g. ``layout="CTHW"`` for most models of PyTorch.

    | make | scores | gradients | layers |
    |---|---|---|---|
    | PyTorch: `torch.nn.Module` | yes | first order | by dotted name |
    | Keras 2: `tf_keras` models, MoViNet, `tensorflow_hub.KerasLayer` | yes | yes | by name, but for a KerasLayer |
    | TensorFlow: SavedModels, `TFSMLayer`, `tf.Module`, `tf.function` | yes | yes | no |
    | ONNX Runtime: `InferenceSession` | yes | no | no |
    | OpenVINO: `CompiledModel` | yes | no | no |

    Args:
      model: the model. A Keras model is returned unchanged.
      **options: further arguments of the adapter: ``signature`` of a SavedModel.

    Returns:
      A `keras.Model` whose ``foreign`` is `model`.

    Raises:
      ModelError: a model of an unknown make.

    Example:
      >>> net = torchvision.models.video.r3d_18(weights="DEFAULT")
      >>> tfvid.adapt(net)(clips)  # clips (B, 3, T, H, W)
      >>> tfvid.GradCAM(tfvid.VideoModel(net, layout="CTHW"), layer="layer4")(clips)  # clips (B, T, H, W, 3)
    """
    if isinstance(model, keras.Model):
        return model
    adapter = adapter_of(model)
    if adapter is None:
        kind = type(model)
        raise ModelError(f"expected {KNOWN}, got {kind.__module__}.{kind.__qualname__}")
    return adapter(model, **options)


def adapted(model):
    """Returns `adapt(model)` for a model of a known make, with what was declared of it; other models unchanged.

    So is the model that a `tfvid.VideoModel` describes.
    """
    if isinstance(model, VideoModel):
        inner = adapted(model.model)
        return model if inner is model.model else dataclasses.replace(model, model=inner)
    adapter = None if isinstance(model, keras.Model) else adapter_of(model)
    if adapter is None:
        return model
    return declare(adapter(model), **vars(declared(model)))


def classifier_of(model, output: str = "auto", any_callable: bool = False, input_range="auto") -> Classifier:
    """Returns the `Classifier` of any model that tfvid takes; a `Classifier` is returned unchanged.

    All explainers, metrics and commands get their `Classifier` here, so a model of another make is adapted everywhere.

    Args:
      model: a Keras model, a model of a make in `MAKES`, a `tfvid.VideoModel` of one, or a function of clips.
      output: see `Classifier`.
      any_callable: see `Classifier`.
      input_range: see `Classifier`.
    """
    if isinstance(model, Classifier):
        return model
    return Classifier(adapted(model), output, any_callable=any_callable, input_range=input_range)


def adapter_of(model) -> type[ForeignModel] | None:
    """Returns the adapter's class for a model of a known make, else None."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        for make, name, target in MAKES:
            if package == make and kind.__name__ == name:
                module, _, adapter = target.partition(":")
                return getattr(importlib.import_module(module), adapter)
    return None
