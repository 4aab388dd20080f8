"""Converts models saved by Keras 2 so that Keras 3 can read them: HDF5 files of any name, and ``.keras`` archives.

The file itself is not changed. The configuration of a temporary copy is changed as follows:

* Arguments that Keras 3 no longer has are removed if their value has no effect (`DROPPED`).
* Dtype policies are replaced by their names, because Keras 3 has no class ``Policy``.
* Inner layers (of `TimeDistributed`, `Bidirectional`, `RNN`) get the module ``keras.layers``.
* ``"hard_sigmoid"`` becomes the function of Keras 2, because Keras 3 defines it differently, see
  `tfvid.network.activations`.

Keras 3 reads everything else unchanged. An error names the layer that cannot be read.
"""

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import keras

from tfvid.core.errors import ModelError
from tfvid.network.activations import keras2_hard_sigmoid

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LARGEST_CONFIG = 64 << 20  # bytes of JSON
MOST_OBJECTS = 100_000  # groups and arrays in a file

_ANY = object()
_RECURRENT = ("RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_ONE_GROUP = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_SPATIAL_DROPOUT = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")

# (layers, argument, the value without effect). An argument with this value is removed; `_ANY` stands for every value.
DROPPED = (
    (_RECURRENT, "time_major", False),
    ((*_ONE_GROUP, *_TRANSPOSED), "groups", 1),
    (_SPATIAL_DROPOUT, "noise_shape", None),
    (("BatchNormalization",), "fused", _ANY),  # changes only the implementation
    (("BatchNormalization",), "virtual_batch_size", None),
    (("BatchNormalization",), "adjustment", None),
    (("MultiHeadAttention",), "query_shape", _ANY),  # the shapes it was built for, which Keras 3 infers
    (("MultiHeadAttention",), "key_shape", _ANY),
    (("MultiHeadAttention",), "value_shape", _ANY),
)

_INNER = ("layer", "backward_layer", "forward_layer", "cell")  # arguments that are layers
_CODE = ("Lambda",)
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceProperty")
_POLICIES = ("Policy", "PolicyV1", "DTypePolicy")


def is_hdf5(file: Path) -> bool:
    """Whether the content of `file` is HDF5; its name does not matter."""
    with open(file, "rb") as start:
        return start.read(len(SIGNATURE)) == SIGNATURE


def readable_hdf5(file: Path, folder: Path, most_expansion: int) -> Path:
    """Writes a copy of an HDF5 model that Keras 3 can read, with the same weights and a converted configuration.

    Args:
      file: the HDF5 file.
      folder: a temporary folder for the copy.
      most_expansion: the largest allowed ratio of the size of the arrays to the size of the file.

    Returns:
      The copy.

    Raises:
      ModelError: the file contains no model, links to other files or too much data, or a layer cannot be read.
    """
    copy = folder / "model.h5"
    with h5py.File(file, "r") as source:
        config = _config_of(source, file)
        if "model_weights" not in source:
            raise ModelError(f"{file}: expected an HDF5 file of a whole model, got no group 'model_weights'")
        _check_contents(source, file, most_expansion * file.stat().st_size)
        version = _text(source.attrs.get("keras_version", ""))
        with h5py.File(copy, "w", libver="latest") as target:  # only the latest format has attributes of any size
            source.copy("model_weights", target)
            target.attrs["model_config"] = json.dumps(readable(config, version, file))
            target.attrs["keras_version"], target.attrs["backend"] = version, "tensorflow"
    return copy


def readable_archive(file: Path, folder: Path) -> Path:
    """Returns a ``.keras`` archive that Keras 3 can read: `file` itself, or a converted copy if Keras 2 saved it.

    Args:
      file: the archive.
      folder: a temporary folder for the copy.

    Raises:
      ModelError: a layer cannot be read.
    """
    with zipfile.ZipFile(file) as source:
        version = str(json.loads(source.read("metadata.json")).get("keras_version", ""))
        if not _is_keras_2(version):
            return file
        config = json.loads(source.read("config.json"))
        copy = folder / "model.keras"
        with zipfile.ZipFile(copy, "w") as target:
            for member in source.infolist():
                if member.filename == "config.json":
                    target.writestr("config.json", json.dumps(readable(config, version, file)))
                else:
                    with source.open(member) as old, target.open(member, "w") as new:
                        shutil.copyfileobj(old, new)
    return copy


def readable(config, version: str, file: Path):
    """Converts the configuration of a model for Keras 3.

    Args:
      config: the configuration, or a part of it: dicts, lists and values.
      version: the version of Keras that saved the model; "" if unknown, which means Keras 2.
      file: the model's file, for error messages.

    Raises:
      ModelError: a layer contains Python code, or is an operation that Keras 3 cannot read.
    """
    if isinstance(config, list):
        return [readable(item, version, file) for item in config]
    if not isinstance(config, dict):
        return config
    kind, inner = config.get("class_name"), config.get("config")
    if isinstance(kind, str) and isinstance(inner, dict):
        if kind in _POLICIES and isinstance(inner.get("name"), str):
            return inner["name"] if kind != "DTypePolicy" else config
        _check_kind(kind, inner, file)
        config = config | {"config": _readable_arguments(kind, inner, _is_keras_2(version))}
    if isinstance(config.get("layers"), list):
        config = config | {"layers": _shaped_once(config["layers"])}
    return {
        name: readable(_placed(value) if name in _INNER else value, version, file) for name, value in config.items()
    }


def _shaped_once(layers: list) -> list:
    """Removes the input shape from the layers after an `InputLayer`, which already has the shape."""
    if [isinstance(layer, dict) and layer.get("class_name") for layer in layers[:1]] != ["InputLayer"]:
        return layers
    return [
        layer | {"config": {name: value for name, value in layer["config"].items() if name != "batch_input_shape"}}
        if place and isinstance(layer, dict) and isinstance(layer.get("config"), dict)
        else layer
        for place, layer in enumerate(layers)
    ]


def _placed(layer):
    """Adds the module in which Keras 3 looks up an inner layer."""
    is_plain = isinstance(layer, dict) and "module" not in layer
    if is_plain and isinstance(kind := layer.get("class_name"), str) and hasattr(keras.layers, kind):
        return layer | {"module": "keras.layers", "registered_name": None}
    return layer


def _readable_arguments(kind: str, arguments: dict, is_keras_2: bool) -> dict:
    arguments = dict(arguments)
    for kinds, name, harmless in DROPPED:
        if kind in kinds and name in arguments and (harmless is _ANY or arguments[name] == harmless):
            del arguments[name]
    axis = arguments.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        arguments["axis"] = axis[0]
    if is_keras_2:
        for name in ("activation", "recurrent_activation"):
            if arguments.get(name) == "hard_sigmoid":
                arguments[name] = keras.saving.serialize_keras_object(keras2_hard_sigmoid)
    return arguments


def _check_kind(kind: str, arguments: dict, file: Path):
    name = arguments.get("name")
    if kind in _CODE:
        raise ModelError(
            f"{file}: layer {name!r} is a Lambda layer, Python code in a file, which is not run; if you trust the "
            "file, load it with keras.saving.load_model(..., safe_mode=False) and give tfvid the model"
        )
    if kind in _OPERATIONS:
        raise ModelError(
            f"{file}: layer {name!r} is a Keras 2 operation ({kind}), which Keras 3 cannot read; build the model in "
            "code and load its weights, or save it again without that operation"
        )


def _config_of(source: h5py.File, file: Path):
    if "model_config" not in source.attrs:
        raise ModelError(
            f"{file}: expected an HDF5 file of a whole model, got one without its configuration: weights alone "
            "(save_weights); build the model in code and load the weights with model.load_weights"
        )
    if source.attrs.get_id("model_config").get_storage_size() > LARGEST_CONFIG:
        raise ModelError(f"{file}: expected a configuration of up to {LARGEST_CONFIG} bytes, got more")
    return json.loads(_text(source.attrs["model_config"]))


def _check_contents(source: h5py.File, file: Path, most: int):
    """Raises ModelError for weights in other files, and for weights too large for a file of this size."""
    waiting, seen, total = [source["model_weights"]], set(), 0
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"{file}: {name!r} lies in another file or place, expected all weights in this one")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif item.external or item.is_virtual:
                raise ModelError(f"{file}: {name!r} lies in another file, expected all weights in this one")
            else:
                total += item.nbytes
            if total > most or len(seen) > MOST_OBJECTS:
                raise ModelError(f"{file}: expected at most {most} bytes in up to {MOST_OBJECTS} arrays, got more")


def _is_keras_2(version: str) -> bool:
    return version.partition(".")[0] in ("1", "2") or version == ""


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
