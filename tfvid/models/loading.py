"""Loads trained models from a ``.keras`` or HDF5 file, a run's folder, or a saved model's folder.

    runs/<name>/model.keras                      runs/<name>/card.json
    saved_models/<name>/assets.extra/model.keras saved_models/<name>/assets.extra/card.json

Models are loaded in Keras' safe mode, which rejects files with Python code. Every failure raises a `ModelError` with a
one-line message. `tfvid.models.legacy` converts files saved by Keras 2.
"""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import keras
import tensorflow as tf

import tfvid.network.activations  # noqa: F401  registers the activations with Keras
from tfvid.adapters.foreign import ForeignModel
from tfvid.core.errors import ModelError
from tfvid.models.card import ModelCard, read_card
from tfvid.models.compiling import compile_by_card, read_compiled
from tfvid.models.foreign_files import SAVED_MODEL, is_foreign_file, load_foreign, model_name
from tfvid.models.legacy import is_hdf5, readable_archive, readable_hdf5
from tfvid.network.model_format import GREY, declare
from tfvid.network.shapes import shapes
from tfvid.network.stated import clip_shape, input_shape
from tfvid.network.video_model import VideoModel

PLACES = ("", "assets.extra")
MOST_EXPANSION = 64  # compression hardly shrinks weights, and shrinks a configuration of many equal layers tenfold


def load_model(
    path: str | Path, *, compile: bool = True, custom_objects: Mapping[str, object] | None = None
) -> keras.Model:
    """Loads a trained model.

    If there is a ``card.json`` beside the file, its input range, colour order and output are declared for the model,
    see `tfvid.declare`.

    Args:
      path: a ``.keras`` or HDF5 file (``.h5``, or an HDF5 file named ``.keras``), or a ``runs/<name>``,
        ``saved_models/<name>`` or checkpoint folder; or a model of another make, see `tfvid.adapt`, which is not
        compiled: a SavedModel folder, an ONNX (``.onnx``), OpenVINO (``.xml``) or TorchScript file (``.pt``, ``.pth``,
        ``.torchscript``).
      compile: True compiles the model for ``fit`` and ``evaluate`` with the loss, metrics and optimizer saved in the
        file. If these cannot be restored, the model is not compiled, and a warning states the reason. If the file has
        none but has a card beside it, like the files of `tfvid.training`, the model gets the loss and metrics of
        `tfvid.training` and Adam with its default learning rate; call ``model.compile`` for others. An HDF5 file
        without a card is not compiled. False does not compile the model.
      custom_objects: the model's custom layers and functions by name; see docs/models.md.

    Returns:
      The Keras model. The models of tfvid take float32 clips `(B, T, H, W, 3)` in [0, 1] and return logits `(B, K)`.

    Raises:
      ModelError: the path does not exist or is not a model; the file is truncated, corrupt, too large when unpacked, or
        contains Python code; or Keras does not know a layer or an argument.
    """
    file, known = model_file(path), _by_name(custom_objects)
    if is_foreign_file(file):
        return _declared_by_card(load_foreign(file), file)
    # The name must be that of an archive, too: Keras reads every file named .h5 as HDF5.
    is_archive = file.suffix == ".keras" and zipfile.is_zipfile(file)
    if not is_archive and not is_hdf5(file):
        raise ModelError(f"{file}: not a .keras file and not HDF5, or cut off")
    try:
        with TemporaryDirectory(prefix="tfvid-") as folder:
            if is_archive:
                _check_expansion(file)
                readable = readable_archive(file, Path(folder))
            else:
                readable = readable_hdf5(file, Path(folder), MOST_EXPANSION)
            if compile and is_archive:
                model = read_compiled(readable, known, file)
            else:
                model = keras.saving.load_model(readable, known, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # Keras, h5py, zipfile and json each raise their own exceptions for a bad file
        raise ModelError(f"{file}: cannot load the model ({_reason(error)}{_other_version(file)})") from error
    _declared_by_card(model, file)
    if compile and (beside := file.with_name("card.json")).is_file():
        compile_by_card(model, read_card(beside))
    return model


def _declared_by_card(model: keras.Model, file: Path) -> keras.Model:
    """Declares what the card beside the file says of the model, and returns the model."""
    if (beside := file.with_name("card.json")).is_file():
        card = read_card(beside)
        channels = "rgb" if card.channels == GREY else card.channels  # `described_by` converts to grey
        declare(model, input_range=card.input_range or "auto", channels=channels, output=card.output)
    return model


def _by_name(custom_objects) -> dict[str, object]:
    """Returns `custom_objects` as the dict that Keras expects.

    Raises:
      ModelError: it is not a mapping; the message shows the mapping that was probably meant.
    """
    if custom_objects is None or isinstance(custom_objects, Mapping):
        return dict(custom_objects or {})
    given = custom_objects if isinstance(custom_objects, list | tuple | set) else [custom_objects]
    names = [getattr(one, "__name__", None) or type(one).__name__ for one in given]
    meant = ", ".join(f"{name!r}: {name}" for name in names)
    raise ModelError(
        f"custom_objects: expected classes and functions by name, {{{meant}}}, got a {type(custom_objects).__name__}"
    )


def described_by(card: ModelCard, model: keras.Model | VideoModel) -> keras.Model | VideoModel:
    """Returns `model`, or the `VideoModel` that its card describes, by a layout, a head, frames or grey clips.

    Args:
      card: the model's card.
      model: the model, for which `declare` holds the rest of the card.
    """
    if isinstance(model, VideoModel):
        return model
    grey = GREY if card.channels == GREY else None
    if (card.layout, card.head, card.frames, grey) == ("THWC", None, None, None):
        return model
    names = card.class_names
    return VideoModel(model, layout=card.layout, head=card.head, frames=card.frames, channels=grey, class_names=names)


def load_card(path: str | Path, model: keras.Model | VideoModel | None = None) -> ModelCard:
    """Returns the card of the model at `path`. For a model without a card, makes one from the model's shapes.

    Args:
      path: a file or folder of a model, see `load_model`.
      model: the model loaded from `path`, whose number of outputs is compared with the card; None: not compared, and
        loaded only if there is no card. A model with a single output unit has two classes.

    Raises:
      ModelError: the card cannot be read, or does not match the model.
    """
    file = model_file(path)
    beside = file.with_name("card.json")
    if beside.is_file():
        card = read_card(beside)
    else:
        model = model or load_model(file, compile=False)
        card = card_from_shapes(model, model_name(file))
    is_plain = model is None or not isinstance(described_by(card, model), VideoModel)
    given = getattr(model, "output_shape", None) if is_plain else None  # a subclassed model has none
    if given is not None and not _is_shape(given, 2):
        raise ModelError(f"{file}: expected a model of clips to logits (B, K), got {given}")
    if given is not None and given[-1] and max(given[-1], 2) != len(card.class_names):
        units = given[-1]
        expected = "1 logit, which tells class 1 from class 0: 2 names" if units == 1 else f"{units} logits"
        raise ModelError(f"{beside}: {len(card.class_names)} class names for {expected}")
    return card


def card_from_shapes(model: keras.Model | VideoModel, name: str) -> ModelCard:
    """Makes a card from the input and output shapes of a model.

    The classes are named "class 0", "class 1", and so on. A model with a single output unit has two classes.

    Args:
      model: a model from clips `(B, T, H, W, C)` to logits `(B, K)`.
      name: of the model.

    Raises:
      ModelError: the model has other shapes, or is a subclassed model, whose shapes are unknown.
    """
    if isinstance(model, ForeignModel):
        model = VideoModel(model)
    if isinstance(model, VideoModel):
        return _card_of_described(model, name)
    given = getattr(model, "output_shape", None)
    if not getattr(model, "inputs", None) or given is None:
        raise ModelError(
            f"{name}: a subclassed model does not say what it takes and returns; give it a card: ModelCard in Python, "
            'or card.json beside the file: {"name": ..., "class_names": [...], "num_frames": 16, "size": '
            "[height, width]}"
        )
    stated = input_shape(model)
    if stated is None or not (_is_shape(stated, 5) and _is_shape(given, 2) and given[-1]):
        taken = stated or shapes(model.inputs)
        raise ModelError(f"{name}: expected a model of clips (B, T, H, W, C) to logits (B, K), got {taken} to {given}")
    num_frames, height, width, _ = clip_shape(model)
    size = (height, width) if height and width else None
    return ModelCard(name, tuple(f"class {label}" for label in range(max(given[-1], 2))), num_frames, size)


def _card_of_described(model: VideoModel, name: str) -> ModelCard:
    """Makes a card for a `VideoModel`; the number of classes is that of the scores of a black clip."""
    frames, height, width, channels = clip_shape(model)
    names = ("score",) if model.score is not None and model.class_names is None else model.class_names
    if names is None:
        if None in (frames, height, width):
            raise ModelError(
                f"{name}: the size of its clips is unknown; say it in a card.json beside the file, num_frames and "
                "size, or set class_names= of the VideoModel"
            )
        scores = model.network(tf.zeros((1, frames, height, width, channels or 3)))
        names = tuple(f"class {label}" for label in range(max(scores.shape[-1], 2)))
    return ModelCard(name, tuple(names), frames, (height, width) if height and width else None)


def load_weights(model: keras.Model, path: str | Path, *, other_classifier: bool = False) -> str:
    """Copies the weights of the model at `path` into the layers of `model` with the same names.

    Names that Keras made, such as "dense_7", depend on what was built before in the process. So layers with such names
    match in order, by class. If any layer does not match, no weights are changed.

    Args:
      model: the model that gets the weights.
      path: a file or folder of a model, see `load_model`.
      other_classifier: skip the last layer if its shape differs, because the numbers of classes differ or, after a
        `Flatten`, the frame sizes.

    Returns:
      One line that states what was loaded.

    Raises:
      ModelError: the model cannot be loaded, see `load_model`; or a layer is missing in one of the models, or has
        another shape (the message names the layer and both shapes).
    """
    file = model_file(path)
    source, target = _weights_by_layer(load_model(file, compile=False)), _weights_by_layer(model)
    last, left_out = stable_names(model)[model.layers[-1].name], ""
    if other_classifier and last in source and last in target:
        there, here = (tuple(side[last][0].shape) for side in (source, target))
        if there != here:
            source, target = ({n: v for n, v in side.items() if n != last} for side in (source, target))
            left_out = f", without its classifier {last!r}: {there} there, {here} here"
    for name in [*target, *source]:
        if name not in source or name not in target:
            where, lacking = ("the model", file) if name in target else (file, "the model")
            raise ModelError(f"{file}: layer {name!r} is in {where} but not in {lacking}")
    for name in target:
        got, expected = ([tuple(w.shape) for w in side[name]] for side in (source, target))
        if got != expected:
            pairs: list = [(g, e) for g, e in zip(got, expected, strict=False) if g != e] or [(got, expected)]
            raise ModelError(f"{file}: layer {name!r} has weights of shape {pairs[0][0]}, the model {pairs[0][1]}")
    for name, weights in target.items():
        for variable, value in zip(weights, source[name], strict=True):
            variable.assign(value)
    return f"loaded {len(target)} layers of {file}{left_out}"


def model_file(path: str | Path) -> Path:
    """Returns the model file at `path`: the file itself, or ``model.keras`` or ``saved_model.pb`` in the folder.

    Args:
      path: a file, or a folder with ``model.keras``, ``assets.extra/model.keras`` or ``saved_model.pb``.

    Raises:
      ModelError: there is no model.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelError(
            f"{path}: no such model; expected a .keras, .h5, .onnx, .xml or TorchScript .pt file, or a runs/<name>, "
            "saved_models/<name> or SavedModel folder"
        )
    for file in (*(path / place / "model.keras" for place in PLACES), path / SAVED_MODEL):
        if file.is_file():
            return file
    if (path / "checkpoints").is_dir():
        raise ModelError(f"{path}: this run has no model.keras yet; it was stopped before the end")
    raise ModelError(f"{path}: no model.keras in this folder or its assets.extra/")


def _check_expansion(file: Path):
    """Raises ModelError for an archive that is too large when unpacked; Keras checks only the size of the weights."""
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot load the model ({_reason(error)})") from error
    most = MOST_EXPANSION * file.stat().st_size
    if unpacked > most:
        raise ModelError(f"{file}: expected at most {most} bytes in this archive, got {unpacked}")


def _other_version(file: Path) -> str:
    """Returns the end of an error message if another version of Keras saved `file`; "" if not, or if it is unknown."""
    try:
        if is_hdf5(file):
            with h5py.File(file, "r") as archive:
                version = archive.attrs["keras_version"]
        else:
            with zipfile.ZipFile(file) as archive:
                version = json.loads(archive.read("metadata.json"))["keras_version"]
    except Exception:  # the error of the file has been reported already
        return ""
    return "" if version == keras.__version__ else f"; saved by Keras {version}, this is Keras {keras.__version__}"


def _weights_by_layer(model: keras.Model) -> dict[str, list]:
    names = stable_names(model)
    return {names[layer.name]: layer.weights for layer in model.layers if layer.weights}


def stable_names(model: keras.Model) -> dict[str, str]:
    """Returns, for each layer's name, one that does not depend on what Keras built before: "dense_7" may be "dense".

    Names that Keras made are numbered again in the order of the layers, from the class's name on; others stay.

    Args:
      model: a Keras model.
    """
    number: Counter[str] = Counter()
    names = {}
    for layer in model.layers:
        base = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        names[layer.name] = layer.name
        if re.fullmatch(rf"{base}(_\d+)?", layer.name):
            names[layer.name] = f"{base}_{number[base]}" if number[base] else base
            number[base] += 1
    return names


def _is_shape(shape, rank: int) -> bool:
    return isinstance(shape, tuple) and len(shape) == rank and not isinstance(shape[-1], tuple)


def _reason(error: Exception) -> str:
    """Returns the reason why a model cannot be loaded: the cause at the end of Keras' message, or the unknown class."""
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
    if "of a `Lambda` layer" in text:
        return (
            "it has a Lambda layer, Python code in a file, which is not run; if you trust the file, load it with "
            "keras.saving.load_model(..., safe_mode=False) and give tfvid the model"
        )
    unknown = re.search(r"(?:Could not locate (?:class|function)|Unknown \w+:) '([^']+)'", text)
    if unknown and not hasattr(keras.layers, unknown[1]):
        name = unknown[1].rpartition(">")[2]
        return (
            f"Keras does not know {name!r}, a layer or function of the model's own; give it as "
            f"custom_objects={{{name!r}: {name}}}, or on the command line --custom with the Python file it is in"
        )
    return _first_sentence(text.rpartition("Exception encountered: ")[2]) or type(error).__name__


def _first_sentence(text: str) -> str:
    return text.split(". ")[0][:300]
