"""Models that Keras 2 saved, made readable for Keras 3: HDF5 files, whatever they are called, and ``.keras`` archives.

The file is left as it is. A temporary copy gets a configuration in which

* arguments that Keras 3 no longer takes are left out where they have the value that changes nothing (`DROPPED`);
* dtype policies are names: Keras 3 does not know the class ``Policy``;
* layers within layers (of `TimeDistributed`, `Bidirectional`, `RNN`) say that they are Keras' own;
* ``"hard_sigmoid"`` is Keras 2's function: what Keras 3 calls so is another one, see `tfvid.network.activations`.

Everything else is Keras 3's own reading. What cannot be read is refused in one line that names layer and argument.
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
MOST_OBJECTS = 100_000  # groups and arrays of a file

_ANY = object()
_RECURRENT = ("RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_ONE_GROUP = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_SPATIAL_DROPOUT = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")

# (layers, argument, the value that changes nothing): left out where it has that value, or whatever it is for `_ANY`.
DROPPED = (
    (_RECURRENT, "time_major", False),
    ((*_ONE_GROUP, *_TRANSPOSED), "groups", 1),
    (_SPATIAL_DROPOUT, "noise_shape", None),
    (("BatchNormalization",), "fused", _ANY),  # only how it is computed
    (("BatchNormalization",), "virtual_batch_size", None),
    (("BatchNormalization",), "adjustment", None),
    (("MultiHeadAttention",), "query_shape", _ANY),  # what it was built for, which Keras 3 sees by itself
    (("MultiHeadAttention",), "key_shape", _ANY),
    (("MultiHeadAttention",), "value_shape", _ANY),
)

_INNER = ("layer", "backward_layer", "forward_layer", "cell")  # arguments that are layers
_CODE = ("Lambda",)
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceProperty")
_POLICIES = ("Policy", "PolicyV1", "DTypePolicy")


def is_hdf5(file: Path) -> bool:
    """Whether `file` is HDF5 inside, whatever it is called."""
    with open(file, "rb") as start:
        return start.read(len(SIGNATURE)) == SIGNATURE


def readable_hdf5(file: Path, folder: Path, most_expansion: int) -> Path:
    """A copy of an HDF5 model in `folder` that Keras 3 reads: its weights, and the configuration made readable.

    Args:
      file: the HDF5 file.
      folder: a temporary one.
      most_expansion: how many times the file's size its arrays may have.

    Raises:
      ModelError: no model in it, links to other files, too much in it, or a layer that is not read.
    """
    copy = folder / "model.h5"
    with h5py.File(file, "r") as source:
        config = _config_of(source, file)
        if "model_weights" not in source:
            raise ModelError(f"{file}: expected an HDF5 file of a whole model, got no group 'model_weights'")
        _check_contents(source, file, most_expansion * file.stat().st_size)
        version = _text(source.attrs.get("keras_version", ""))
        with h5py.File(copy, "w", libver="latest") as target:  # the latest: attributes of any size
            source.copy("model_weights", target)
            target.attrs["model_config"] = json.dumps(readable(config, version, file))
            target.attrs["keras_version"], target.attrs["backend"] = version, "tensorflow"
    return copy


def readable_archive(file: Path, folder: Path) -> Path:
    """A ``.keras`` archive that Keras 3 reads: `file` itself, or a copy in `folder` of one that Keras 2 saved.

    Raises:
      ModelError: a layer that is not read.
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
    """The configuration of a model that Keras `version` saved, as Keras 3 reads it.

    Raises:
      ModelError: Python code, or operations that Keras 3 cannot read; names the layer.
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
    """The layers of a model; behind an `InputLayer` the first one need not say the shape again."""
    if [isinstance(layer, dict) and layer.get("class_name") for layer in layers[:1]] != ["InputLayer"]:
        return layers
    return [
        layer | {"config": {name: value for name, value in layer["config"].items() if name != "batch_input_shape"}}
        if place and isinstance(layer, dict) and isinstance(layer.get("config"), dict)
        else layer
        for place, layer in enumerate(layers)
    ]


def _placed(layer):
    """A layer within a layer, with the module that Keras 3 looks for it in."""
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
            f"{file}: layer {name!r} is an operation as Keras 2 saved it ({kind}), which Keras 3 cannot read; build "
            "the model in code and load its weights, or save it again without that operation"
        )


def _config_of(source: h5py.File, file: Path):
    if "model_config" not in source.attrs:
        raise ModelError(
            f"{file}: expected an HDF5 file of a whole model, got one without its configuration: weights alone "
            "(save_weights); build the model in code and give it these with model.load_weights"
        )
    if source.attrs.get_id("model_config").get_storage_size() > LARGEST_CONFIG:
        raise ModelError(f"{file}: expected a configuration of up to {LARGEST_CONFIG} bytes, got more")
    return json.loads(_text(source.attrs["model_config"]))


def _check_contents(source: h5py.File, file: Path, most: int):
    """Refuses weights in other files, and more of them than a file of this size can mean."""
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
