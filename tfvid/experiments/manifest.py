"""The manifest of an experiment: its models, clips, settings and packages.

It is written to ``manifest.json`` beside the results, so that a folder never mixes results of different experiments.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from tfvid import __version__
from tfvid.core.errors import ConfigError, DataError
from tfvid.core.files import replacing
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.models.loaded import Loaded
from tfvid.results.result_store import ResultStore, differences

NAME = "manifest.json"
VERSION = 1
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "av", "opencv-python-headless", "pyarrow", "pillow", "matplotlib")
# The settings that all records depend on. If other clips are explained, the records stay valid.
STUDY_SETTINGS = ("split", "target", "mask", "grad_cam", "smallest_drop", "seed")
DATA_SETTINGS = ("dataset", "root", "records", "options", "num_frames", "size")


def _described(models: Mapping[str, Sequence[Loaded]]) -> dict[str, list[dict]]:
    """Returns, by group, the ``name``, the ``path`` and a digest of the ``weights`` of each model."""
    from tfvid.experiments.record_settings import weights_digest

    return {
        group: [
            {"name": model.name, "path": str(model.path), "weights": weights_digest(model.model)} for model in members
        ]
        for group, members in models.items()
    }


def describe(
    settings: Mapping,
    models: Mapping[str, Sequence[Loaded]],
    dataset: VideoDataset,
    samples: list[Sample],
) -> dict:
    """Returns the manifest of an experiment.

    Args:
      settings: the configuration of the experiment, as nested dicts.
      models: the models by group.
      dataset: the dataset of the clips.
      samples: all clips of the experiment.
    """
    return {
        "version": VERSION,
        "models": _described(models),
        "dataset": {
            "name": settings["data"]["dataset"],
            "split": settings["split"],
            "clips": len(samples),
            "fingerprint": fingerprint(dataset.class_names, samples),
        },
        "config": dict(settings),
        "packages": {"tfvid": __version__, "python": platform.python_version()} | _versions(),
        "machine": platform.platform(),
    }


def fingerprint(class_names: Sequence[str], samples: list[Sample]) -> str:
    """Returns a digest of a set of clips: of their ids, labels, frame ranges, and the names and sizes of their files.

    Pixels are not read, because this would take as long as the experiment.
    """
    digest = hashlib.sha256(json.dumps(list(class_names)).encode())
    for sample in samples:
        file = Path(sample.path)
        size = _size(file) if sample.path else 0
        digest.update(json.dumps([sample.id, sample.label, file.name, size, sample.start, sample.stop]).encode())
    return digest.hexdigest()[:16]


def _size(path: Path) -> int:
    """Returns the bytes of a file, or of the files in a folder of frames; 0 if neither exists."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def keep(folder, manifest: dict, *, decisive: Callable[[dict], dict] | None = None, files: Sequence = ()):
    """Writes the manifest into `folder`, unless the folder has results of another experiment.

    Args:
      folder: the folder of the results.
      manifest: the manifest, from `describe`.
      decisive: a function that returns the entries of a manifest that must not change, as a flat dict; None for those
        of a study.
      files: the result files in the folder, besides those of `ResultStore`.

    Raises:
      ConfigError: the existing manifest differs (the message names the differences), or there are results without a
        manifest.
      DataError: the existing manifest cannot be read.
    """
    decisive = decisive or _decisive
    file = Path(folder) / NAME
    manifest = json.loads(json.dumps(manifest))
    if file.exists():
        changed = differences(_read(file, decisive), decisive(manifest))
        if changed:
            raise ConfigError(
                f"{file}: the results in this folder have other settings ({'; '.join(changed)}); "
                "choose another folder with --out, or remove this one"
            )
    elif ResultStore(folder).files() or files:
        raise ConfigError(f"{folder}: contains results without a manifest; choose another folder with --out")
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(file: Path, decisive: Callable[[dict], dict]) -> dict:
    """Returns the decisive entries of the manifest in `file`."""
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["version"] != VERSION:
            raise DataError(f"{file}: expected a manifest of version {VERSION}, got {manifest['version']}")
        return decisive(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file}: cannot read this manifest ({error})") from error


def _decisive(manifest: dict) -> dict:
    config, data = manifest["config"], manifest["config"]["data"]
    weights = {
        f"weights of {group}/{model['name']}": model["weights"]
        for group, models in manifest["models"].items()
        for model in models
    }
    return (
        weights
        | {"dataset's fingerprint": manifest["dataset"]["fingerprint"]}
        | {key: config[key] for key in STUDY_SETTINGS}
        | {f"data.{key}": data[key] for key in DATA_SETTINGS}
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # e.g. tensorflow-cpu has another name
            continue
    return versions
