"""Loads DeepMind's public Kinetics checkpoints into `tfvid.I3D`, by variable name.

The files are TensorFlow 1 checkpoints (github.com/google-deepmind/kinetics-i3d: ``rgb_scratch``,
``rgb_imagenet``), written with Sonnet. Their variables differ from those of the layers in three ways:

* The kernel of layer ``Mixed_3b.Branch_1.Conv3d_0b_3x3.conv_3d`` is named
  ``RGB/inception_i3d/Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/w``.
* The second unit of Branch_2 of ``Mixed_5b`` is named ``Conv3d_0a_3x3``.
* Sonnet's batch norm has no gamma (set to 1 here) and variables of shape (1, 1, 1, 1, C). Its epsilon is 1e-3, as here.

The published network has the temporal strides (2, 2, 2): build it as ``I3D(..., temporal_strides=(2, 2, 2))``. The
default (1, 1, 2) uses the same weights at another temporal resolution. The published network averages over windows of
2 x 7 x 7 before the classifier. For 224 x 224 clips, the global average used here differs from this only in the weight
of the first and the last time step.
"""

from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfvid.core.errors import ModelError

HEAD = "Logits.Conv3d_0c_1x1"
SCOPE = "/inception_i3d/"


def is_checkpoint(path: str | Path) -> bool:
    """Whether `path` is the prefix of a TensorFlow checkpoint, i.e. ``<path>.index`` exists."""
    return Path(f"{path}.index").is_file()


def load_kinetics(model: keras.Model, checkpoint: str | Path, head: Literal["auto", "load", "skip"] = "auto") -> str:
    """Loads a Kinetics checkpoint into an I3D. If any variable does not match, the model is not changed.

    Args:
      model: from `tfvid.I3D`, with any number of classes.
      checkpoint: the checkpoint's prefix, e.g. ``rgb_imagenet/model.ckpt``.
      head: "load" also loads the classifier, "skip" does not, and "auto" loads it if the numbers of classes are equal.

    Returns:
      One line that states what was loaded.

    Raises:
      ModelError: the path is not a readable checkpoint of an I3D; or a variable is missing, unexpected, or has another
        shape.
    """
    if head not in ("auto", "load", "skip"):
        raise ModelError(f"head must be 'auto', 'load' or 'skip', got {head!r}")
    stored = _read(checkpoint)
    scope = _scope(stored, checkpoint)
    stored = {name: value for name, value in stored.items() if name.startswith(scope)}
    plan = {f"{scope}{name}": variable for name, variable in _variable_names(model).items()}

    classes, stored_classes = model.output_shape[-1], _num_classes(stored, scope)
    with_head = head == "load" or (head == "auto" and classes == stored_classes)
    if not with_head:
        prefix = f"{scope}Logits/"
        stored = {name: value for name, value in stored.items() if not name.startswith(prefix)}
        plan = {name: variable for name, variable in plan.items() if not name.startswith(prefix)}

    for name in [*plan, *stored]:
        if name not in stored:
            raise ModelError(f"{checkpoint}: variable {name!r} is missing")
        if name not in plan:
            raise ModelError(f"{checkpoint}: variable {name!r} has no place in {model.name!r}")
    for name, variable in plan.items():
        if not _fits(stored[name].shape, tuple(variable.shape)):
            shapes = f"{stored[name].shape} there, {tuple(variable.shape)} in {model.name!r}"
            raise ModelError(f"{checkpoint}: variable {name!r} has another shape: {shapes}")
    for name, variable in plan.items():
        variable.assign(stored[name].reshape(variable.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(tf.ones_like(layer.gamma))
    said = "with its classifier" if with_head else f"without its classifier of {stored_classes} classes"
    return f"loaded {len(plan)} variables of {checkpoint} {said}"


def _read(checkpoint: str | Path) -> dict[str, np.ndarray]:
    if not is_checkpoint(checkpoint):
        raise ModelError(f"{checkpoint}: no such checkpoint (there is no {checkpoint}.index)")
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        return {name: np.asarray(reader.get_tensor(name)) for name in sorted(reader.get_variable_to_shape_map())}
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ModelError(f"{checkpoint}: cannot read the checkpoint ({' '.join(str(error).split())[:200]})") from error


def _scope(names, checkpoint) -> str:
    """Returns the scope of the variables: ``"RGB/inception_i3d/"``, or with another name in the place of RGB."""
    scopes = sorted({name.partition(SCOPE)[0] + SCOPE for name in names if SCOPE in name})
    if len(scopes) != 1:
        found = f"the networks {', '.join(scopes)}" if scopes else "no variable with 'inception_i3d' in its name"
        raise ModelError(f"{checkpoint}: expected one I3D (RGB/inception_i3d/...), found {found}")
    return scopes[0]


def _num_classes(stored: dict, scope: str) -> int | None:
    bias = stored.get(f"{scope}Logits/Conv3d_0c_1x1/conv_3d/b")
    return None if bias is None else bias.size


def _variable_names(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the variables of `model` by their names in the checkpoint, without the scope."""
    names: dict[str, keras.Variable] = {}
    for layer in model.layers:
        unit = layer.name.replace(".", "/").replace(
            "Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3"
        )
        if layer.name == HEAD:
            names |= {f"{unit}/conv_3d/w": layer.kernel, f"{unit}/conv_3d/b": layer.bias}
        elif isinstance(layer, keras.layers.Conv3D):
            names[f"{unit}/w"] = layer.kernel
        elif isinstance(layer, keras.layers.BatchNormalization):
            for name in ("beta", "moving_mean", "moving_variance"):
                names[f"{unit}/{name}"] = getattr(layer, name)
        elif layer.weights:
            raise ModelError(f"{model.name!r} is not an I3D: layer {layer.name!r} has no place in the checkpoint")
    if f"{HEAD.replace('.', '/')}/conv_3d/w" not in names:
        raise ModelError(f"{model.name!r} is not an I3D: it has no layer {HEAD!r}")
    return names


def _fits(stored: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether the shapes are equal except for leading ones: (1, 1, 1, 1, C) fits (C,)."""
    return stored == expected or (
        stored[len(stored) - len(expected) :] == expected and set(stored[: len(stored) - len(expected)]) == {1}
    )
