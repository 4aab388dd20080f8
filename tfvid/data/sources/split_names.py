"""The spellings of the names of splits: ``val/``, ``Valid.csv`` and ``dev`` all mean validation."""

from collections.abc import Mapping

from tfvid.core.errors import DataError
from tfvid.data.decode.clip_files import shown, warn

SPLITS = ("train", "validation", "test")
_MEANING = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SPELLINGS = tuple(_MEANING)


def split_of(name: str) -> str | None:
    """Returns the split that `name` means, in upper or lower case; None if it is not the name of a split."""
    return _MEANING.get(name.lower())


def by_split(stems: Mapping[str, str], where) -> dict[str, str]:
    """Returns the names that mean a split, by split, in the order of `SPLITS`; other names are left out.

    Args:
      stems: the part of the name that means a split, by names of files or folders.
      where: their folder, for the message.

    Raises:
      DataError: two names mean the same split.
    """
    found: dict[str, str] = {}
    for name in sorted(stems):
        split = split_of(stems[name])
        if split in found:
            raise DataError(f"{where}: {found[split]!r} and {name!r} both mean the {split} split; keep one of them")
        if split:
            found[split] = name
    return {split: found[split] for split in SPLITS if split in found}


def warn_untrained(root, classes: set[str]) -> None:
    """Warns of classes that have clips in other splits but none in train: a name may be misspelt in one of them."""
    if classes:
        warn(f"{root}: classes with clips, but none to train on ({len(classes)}): {shown(sorted(classes))}")
