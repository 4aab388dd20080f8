"""Loads models of other makes from their files: SavedModel folders, ONNX, OpenVINO and TorchScript files."""

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfvid.adapters.foreign import ForeignModel
from tfvid.adapters.makes import adapt
from tfvid.core.errors import ModelError, error_line

SAVED_MODEL = "saved_model.pb"  # in the folder of a SavedModel


def _saved_model(path: Path, tensorflow) -> Any:
    return tensorflow.saved_model.load(str(path.parent))


def _onnx(path: Path, onnxruntime) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _openvino(path: Path, openvino) -> Any:
    return openvino.Core().compile_model(str(path), "CPU")


def _torchscript(path: Path, torch) -> Any:
    return torch.jit.load(str(path), map_location="cpu")


# By the end of a file's name: the package that reads it, how, and the format in words.
FORMATS: dict[str, tuple[str, Callable[[Path, Any], Any], str]] = {
    SAVED_MODEL: ("tensorflow", _saved_model, "a TensorFlow SavedModel"),
    ".onnx": ("onnxruntime", _onnx, "an ONNX model"),
    ".xml": ("openvino", _openvino, "an OpenVINO model"),
    ".pt": ("torch", _torchscript, "a TorchScript module (torch.jit.save)"),
    ".pth": ("torch", _torchscript, "a TorchScript module (torch.jit.save)"),
    ".torchscript": ("torch", _torchscript, "a TorchScript module (torch.jit.save)"),
}


def is_foreign_file(file: Path) -> bool:
    """Whether the name of a file is that of a model of another make."""
    return _format(file) is not None


def load_foreign(file: Path) -> ForeignModel:
    """Loads the model in a file of another make.

    These files are programs, which run when the model runs: load only files that you trust.

    Args:
      file: a ``saved_model.pb`` in its folder, or a file with one of the suffixes in `FORMATS`.

    Returns:
      The model as a Keras model, see `tfvid.adapt`.

    Raises:
      ModelError: the package that reads the file is not installed, or it cannot read the file.
    """
    found = _format(file)
    assert found is not None, file
    package, load, words = found
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise ModelError(f"{file}: {words} needs {package}: pip install 'tfvid[makes]' ({error})") from error
    try:
        foreign = load(file, module)
    except Exception as error:  # each package raises its own
        raise ModelError(f"{file}: cannot be loaded as {words} ({error_line(error)})") from error
    model = adapt(foreign)
    model.file = file
    return model


def model_name(file: Path) -> str:
    """Returns the name of a model by its file: that of the folder for a SavedModel."""
    return file.parent.name if file.name == SAVED_MODEL else file.stem


def file_digest(file: Path) -> str:
    """Returns a digest of all files of a model, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    beside = file.parent.rglob("*") if file.name == SAVED_MODEL else file.parent.glob(f"{file.stem}.*")
    for part in sorted({file, *beside}):
        if part.is_file() and part.suffix != ".json":  # not the model card
            with part.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


def _format(file: Path) -> tuple[str, Callable[[Path, Any], Any], str] | None:
    return FORMATS.get(file.name) or FORMATS.get(file.suffix.lower())
