"""A data set of clips in class folders."""

from collections import defaultdict
from pathlib import Path

from tfvid.core.errors import DataError, unknown
from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.clip_files import (
    Found,
    checked_name,
    find_clips,
    is_clip_file,
    nfc,
    path_order,
    shown,
    visible,
    warn,
)
from tfvid.data.sources.groups import (
    HELD_OUT,
    NONE,
    PREFIX,
    checked_share,
    divided,
    group_function,
    grouped_example,
    hold_out,
    in_several,
    warn_share,
)
from tfvid.data.sources.root import existing_folder
from tfvid.data.sources.split_names import by_split, split_of, warn_untrained


class ClassFolders(VideoDataset):
    """Clips in class folders; the name of the folder is the class.

    The paths are ``<root>/<split>/<class>/<clip>``, or ``<root>/<class>/<clip>``, of which a share is held out for
    validation. A clip is a video file or a folder of frames (`tfvid.data.decode.frames`), at any depth below the class
    folder. A split folder is called train or training; validation, val, valid or dev; test or testing.

    Class names and ids are in Unicode's composed form (NFC), so ``café`` from macOS and from Linux is one class. Hidden
    files and files of the system (``__MACOSX``, ``Thumbs.db``) are ignored. Other files that are not clips, and class
    folders without a clip, are left out with a warning. The folders are listed once, when the data set is made.

    Args:
      root: the folder.
      validation_share: the share of each class that is held out, in [0, 1); used only without split folders. For 0.2
        and without `groups` this is every fifth clip, in the order of the file names.
      groups: which clips belong together and stay on one side of the split, see
        `tfvid.data.sources.groups.group_function`: "prefix", "none", or a regular expression with one group, which is
        searched for in ``<class>/<clip>``. With split folders, a group with clips in several splits gives a warning.

    Raises:
      DataError: there is no folder, no class folder or no clip; two folders mean the same split; `groups` is not valid
        or does not match; or a name is not valid UTF-8. The message names the folder.
    """

    def __init__(self, root, *, validation_share=0.2, groups=None):
        self.root = existing_folder(root)
        self._share, self._groups = checked_share(validation_share), groups
        self._group = group_function(groups)
        found = Found()
        split_folders = self._split_folders(found)
        parents = {split: self.root / name for split, name in split_folders.items()} or {"": self.root}
        clips = {split: _by_class(parent, found) for split, parent in parents.items()}
        self.class_names = self._classes(clips, found)
        if found.ignored:
            warn(f"{self.root}: {found.left_out(self.root)}")
        self._warn_of_folders_below(clips)
        self.splits = tuple(split_folders) or HELD_OUT
        self._why_none = "" if split_folders else f" (validation_share {validation_share:g} of each class)"
        self._samples = self._split_as_sorted(clips) if split_folders else self._hold_out(clips[""])
        if "train" in self.splits:
            trained = {sample.label for sample in self._samples["train"]}
            warn_untrained(self.root, {name for i, name in enumerate(self.class_names) if i not in trained})

    def samples(self, split: str) -> list[Sample]:
        if split not in self.splits:
            raise DataError(f"{self.root}: {unknown('split', split, self.splits)}")
        if not self._samples[split]:
            raise DataError(f"{self.root}: no clip for {split!r}{self._why_none}")
        return list(self._samples[split])

    def _split_folders(self, found: Found) -> dict[str, str]:
        """Returns the names of the split folders, by split. Clips beside them are added to `found`, as ignored."""
        folders = [entry.name for entry in visible(self.root) if entry.is_dir()]
        splits = by_split({name: name for name in folders}, self.root)
        if not splits:
            return {}
        beside = Found()
        for name in sorted(set(folders) - set(splits.values())):
            find_clips(self.root / name, beside, frames_here=True)
        if beside.clips and "train" not in splits:
            other, name = beside.clips[0].relative_to(self.root).parts[0], next(iter(splits.values()))
            raise DataError(
                f"{self.root}: {name!r} is the name of a split, but {other!r} beside it is not; "
                "keep split folders only, or class folders only"
            )
        if beside.clips:
            found.ignored["clips outside the split folders"] += beside.clips
        return splits

    def _classes(self, clips: dict[str, dict[str, list[Path]]], found: Found) -> tuple[str, ...]:
        folders = sorted({name for classes in clips.values() for name in classes})
        names = [name for name in folders if any(classes.get(name) for classes in clips.values())]
        if not names:
            what = "no video and no folder of frames in its class folders" if folders else "no class folders in it"
            raise DataError(f"{self.root}: {what}{found.left_out(self.root, '; ')}")
        empty = [name for name in folders if name not in names]
        if empty:
            warn(f"{self.root}: ignored class folders without a clip ({len(empty)}): {shown(empty)}")
        return tuple(names)

    def _warn_of_folders_below(self, clips: dict[str, dict[str, list[Path]]]):
        """Warns if folders below the class folders look like splits or classes."""
        folders = set()  # those with clips, as parts of their paths
        for split, classes in clips.items():
            skip = 1 if split else 0
            folders |= {clip.relative_to(self.root).parts[skip:-1] for of in classes.values() for clip in of}
        below = sorted({folder[:end] for folder in folders for end in range(2, len(folder) + 1)})
        named = ["/".join(folder) for folder in below if split_of(folder[-1])]
        if named:
            warn(
                f"{self.root}: folders below class folders are named like splits ({shown(named)}), but their clips are "
                "not split by that; split folders must hold the class folders"
            )
        elif len(self.class_names) == 1 and all(len(folder) > 1 for folder in folders):
            warn(
                f"{self.root}: {self.class_names[0]!r} is the only class, and all its clips are in folders below it "
                f"({shown(['/'.join(folder) for folder in below])}); if those are the classes, give their folder"
            )

    def _split_as_sorted(self, clips: dict[str, dict[str, list[Path]]]) -> dict[str, list[Sample]]:
        """Returns the samples of each split folder."""
        samples = {split: self._labelled(classes) for split, classes in clips.items()}
        if self._groups is not None:
            ids = {split: [sample.id.partition("/")[2] for sample in of] for split, of in samples.items()}
            shared = in_several({split: [self._group(id) for id in of] for split, of in ids.items()})
            if shared:
                warn(f"{self.root}: of the groups {shared}")
        return samples

    def _hold_out(self, classes: dict[str, list[Path]]) -> dict[str, list[Sample]]:
        """Returns the samples of both splits, if there are no split folders."""
        samples = self._labelled(classes)
        ids, labels = [sample.id for sample in samples], [sample.label for sample in samples]
        if self._groups in (None, NONE):
            out = [_is_held_out(i, self._share) for clips in classes.values() for i in range(len(clips))]
            example = grouped_example(ids, labels) if self._groups is None and self._share else []
            if example:
                warn(
                    f"{self.root}: clips look like parts of one source ({', '.join(example)}, ...), and training and "
                    f"validation share such sources; keep each on one side with groups={PREFIX}, or say groups={NONE}"
                )
        else:
            out = hold_out(labels, [self._group(id) for id in ids], self._share)
            warn_share(self.root, out, self._share)
        return divided(samples, out)

    def _labelled(self, classes: dict[str, list[Path]]) -> list[Sample]:
        samples: list[Sample] = []
        taken: set[str] = set()
        for label, name in enumerate(self.class_names):
            for clip in classes.get(name, ()):
                id = _not_in(taken, nfc(clip.relative_to(self.root).as_posix()))
                samples.append(Sample(id, label, str(clip)))
        return samples


def _by_class(parent: Path, found: Found) -> dict[str, list[Path]]:
    """Returns the clips in `parent` by class name; two folders whose names are equal in NFC are one class."""
    classes: dict[str, list[Path]] = defaultdict(list)
    for entry in visible(parent):
        path = Path(entry.path)
        if entry.is_dir():
            of_class = Found(ignored=found.ignored)
            find_clips(checked_name(path), of_class)
            classes[nfc(entry.name)] += of_class.clips
        elif is_clip_file(entry.name):
            found.ignored["files outside the class folders"].append(path)
    return {name: sorted(classes[name], key=path_order) for name in sorted(classes)}


def _is_held_out(index: int, share: float) -> bool:
    """Returns whether a clip is held out: every 1/share-th is, e.g. the 5th, 10th, ... for a share of 0.2."""
    return int((index + 1) * share + 1e-9) > int(index * share + 1e-9)


def _not_in(taken: set[str], id: str) -> str:
    """Returns `id`, with a number if another clip has the same: names may differ only in their normal form."""
    unique, number = id, 2
    while unique in taken:
        unique, number = f"{id}~{number}", number + 1
    taken.add(unique)
    return unique
