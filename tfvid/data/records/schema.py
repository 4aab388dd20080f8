"""The format of shards: names of files, the manifest, the notes, and checks of those from untrusted sources.

A folder of shards has, for each split, ``<split>/shard-00000-of-00012.tfrecord``, ... and ``<split>/manifest.json``.
While shards are written, ``settings.json`` holds their settings, and a note beside each finished shard
(``shard-....json``) lists its clips. The manifest then replaces both: it holds the settings and all notes.
"""

import hashlib
import json
import os
import re
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import cv2
import tensorflow as tf

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.data.decode.clip import Sample

FORMAT = 1
MANIFEST = "manifest.json"
SETTINGS = "settings.json"
_SHARD = re.compile(r"shard-\d+-of-\d+\.tfrecord")


def shard_names(count: int, shard_size: int) -> list[str]:
    shards = -(-count // shard_size)
    return [f"shard-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards)]


def note_file(folder: Path, shard: str) -> Path:
    return (folder / shard).with_suffix(".json")


def settings_of(dataset, split, samples, num_frames, size, shard_size, quality) -> dict:
    """Returns all settings on which the bytes of the shards depend."""
    args, kwargs = dataset.arguments
    listing = json.dumps([_listed(sample) for sample in samples])
    return {
        "format": FORMAT,
        "dataset": {
            "source": dataset.origin,
            "arguments": [*map(str, args), *(f"{name}={value}" for name, value in sorted(kwargs.items()))],
            "class_names": list(dataset.class_names),
            "max_boxes": dataset.max_boxes,
            "flip_labels": str_keys(dataset.flip_labels),
            "reverse_labels": str_keys(dataset.reverse_labels),
        },
        "split": split,
        "samples": len(samples),
        "samples_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "num_frames": num_frames,
        "size": list(size),
        "shard_size": shard_size,
        "jpeg_quality": quality,
        "decoder": f"PyAV {version('av')}, OpenCV {cv2.__version__}, INTER_AREA",
    }


def _listed(sample: Sample) -> dict:
    """Returns a sample's fields, without `seconds` if it is None: shards older than that field stay valid."""
    fields = asdict(sample)
    if sample.seconds is None:
        del fields["seconds"]
    return fields


def damage_of(note: dict) -> dict[str, str]:
    """Returns the damage of a shard's damaged clips, by id. Older notes list only the ids."""
    damaged = note["damaged"]
    if isinstance(damaged, list):
        return dict.fromkeys(damaged, "the shard does not say what is wrong with its file")
    return damaged


def read_manifest(path, missing_ok: bool) -> dict | None:
    if missing_ok and not tf.io.gfile.exists(os.fspath(path)):
        return None
    manifest = read_json(path)
    settings = manifest.get("settings") if isinstance(manifest, dict) else None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        raise DataError(f"{path}: not a manifest of format {FORMAT} by scripts/prepare.py")
    _check_settings(settings, path)
    if not isinstance(manifest.get("shards"), list):
        raise DataError(f"{path}: expected a list of shards")
    classes = len(settings["dataset"]["class_names"])
    for note in manifest["shards"]:
        check_note(note, path)
        if not all(-1 <= label < classes for _, label in note["clips"]):
            raise DataError(f"{path}: {note['file']}: a label is not one of the {classes} classes")
    return manifest


_OF_ALL_SPLITS = ("class_names", "max_boxes", "flip_labels", "reverse_labels")  # settings of a data set


def check_splits_agree(folder, about: dict[str, dict]):
    """Checks that all splits of a folder have the same classes, in the same order.

    A label is the number of a class, so it would mean another class in another split.

    Args:
      folder: for the message.
      about: the settings of the data set (``settings["dataset"]``), by split.

    Raises:
      DataError: two splits differ in their classes, number of boxes, or labels after a mirror or a reversal.
    """
    (first, expected), *others = about.items()
    for split, found in others:
        for name in _OF_ALL_SPLITS:
            if found[name] != expected[name]:
                difference = (
                    _class_difference(first, expected[name], split, found[name])
                    if name == "class_names"
                    else f"{name} is {expected[name]} in {first} and {found[name]} in {split}"
                )
                raise DataError(
                    f"{folder}: the shards of {first} and {split} were made from different data sets: {difference}; "
                    "prepare one of them again with the options of the other, or use another folder"
                )


def _class_difference(first: str, names: list[str], second: str, others: list[str]) -> str:
    """In what two lists of class names differ, in words."""
    for split, only in ((first, set(names) - set(others)), (second, set(others) - set(names))):
        if only:
            sizes = f"{first} has {len(names)} classes, {second} {len(others)}"
            return f"{sizes}, and only {split} has {sorted(only)[0]!r}"
    label = next(label for label, pair in enumerate(zip(names, others, strict=True)) if len(set(pair)) > 1)
    return (
        f"the classes are in another order, label {label} is {names[label]!r} in {first} "
        f"and {others[label]!r} in {second}"
    )


def _check_settings(settings: dict, path):
    """Raises DataError unless settings have the form that `settings_of` gives them: manifests are untrusted files."""
    about = settings.get("dataset")
    about = about if isinstance(about, dict) else {}
    names, size = about.get("class_names"), settings.get("size")
    labels = range(len(names) if isinstance(names, list) else 0)
    fits = {
        "dataset class_names": isinstance(names, list) and all(isinstance(name, str) for name in names),
        "dataset max_boxes": _is_whole(about.get("max_boxes"), 0),
        **{f"dataset {key}": _is_swap(about.get(key, ""), labels) for key in ("flip_labels", "reverse_labels")},
        "num_frames": _is_whole(settings.get("num_frames"), 1),
        "size": isinstance(size, list) and len(size) == 2 and all(_is_whole(side, 1) for side in size),
    }
    for name, is_right in fits.items():
        if not is_right:
            raise DataError(f"{path}: settings: {name} is not as scripts/prepare.py writes it")


def check_note(note, path):
    """Raises DataError unless a note has the form that `WriteShard` gives it, and names a file of the folder itself."""
    name = note.get("file") if isinstance(note, dict) else None
    if not isinstance(name, str) or not _SHARD.fullmatch(name):
        raise DataError(
            f"{path}: expected the note of a shard called shard-<N>-of-<N>.tfrecord, got {str(name)[:80]!r}"
        )
    clips, skipped, damaged = (note.get(key) for key in ("clips", "skipped", "damaged"))
    if not (
        isinstance(clips, list)
        and all(isinstance(clip, list) and len(clip) == 2 for clip in clips)
        and all(isinstance(id, str) and type(label) is int for id, label in clips)
        and isinstance(skipped, dict)
        and all(isinstance(reason, str) for reason in skipped.values())
        and isinstance(damaged, dict | list)
        and all(isinstance(text, str) for text in (damaged.values() if isinstance(damaged, dict) else damaged))
        and all(_is_whole(note.get(key), 0, 2**62) for key in ("asked", "bytes"))
    ):
        raise DataError(f"{path}: {name}: expected clips [id, label], skipped, damaged, asked and bytes, got others")


def _is_whole(value, least: int, most: int = 2**20) -> bool:
    return type(value) is int and least <= value <= most


def _is_swap(labels, valid: range) -> bool:
    """Whether `labels` is null, or an object from label to label, with the keys as text."""
    return labels is None or (
        isinstance(labels, dict)
        and all(re.fullmatch("[0-9]{1,9}", label) and int(label) in valid for label in labels)
        and all(type(label) is int and label in valid for label in labels.values())
    )


def str_keys(labels: dict[int, int] | None) -> dict[str, int] | None:
    return None if labels is None else {str(key): value for key, value in labels.items()}


def int_keys(labels: dict[str, int] | None) -> dict[int, int] | None:
    return None if labels is None else {int(key): value for key, value in labels.items()}


def read_json(path):
    try:
        with tf.io.gfile.GFile(os.fspath(path)) as file:
            return json.loads(file.read())
    except (tf.errors.OpError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None


def write_json(path: Path, value):
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def writing(path: Path):
    """Like `replacing`, but a full or failing disk is a DataError of one line."""
    try:
        with replacing(path) as temporary:
            yield temporary
    except tf.errors.OpError as error:
        raise DataError(f"{path}: cannot be written ({error.message})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
