"""Clips that belong together, such as parts of one source video, stay on one side of a split.

A model that was trained on one part of a video recognizes the others by their background; a validation split with such
parts measures too high an accuracy.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from os.path import splitext

from tfvid.core.errors import DataError
from tfvid.data.decode.clip_files import SUFFIXES, shown, warn

NONE, PREFIX = "none", "prefix"
HELD_OUT = ("train", "validation")  # the splits where a share is held out

# What is at the end of a name: Kinetics' start and stop in seconds, "_000010_000020"; or a counter: "_c01", "-3",
# " (2)" after a separator, "c01" after another number.
_PART = re.compile(r"(?:_0\d{5}_0\d{5}|(?:[\W_]+[A-Za-z]{0,5}|(?<=\d)[A-Za-z]{1,5})\d+\W*)$")


def group_function(groups: str | None) -> Callable[[str], Hashable]:
    r"""What gives the group of a clip by its id.

    Args:
      groups: "none" or None: each clip is a group of its own. "prefix": see `name_prefix`. Otherwise a regular
        expression with one group, searched for in the id: ``_(g\d+)_`` takes ``g01`` of ``a/v_a_g01_c02.avi``.

    Raises:
      DataError: not such an expression. The function raises it for an id in which the expression is not found.
    """
    if groups is None or groups == NONE:
        return lambda id: id
    if groups == PREFIX:
        return name_prefix
    try:
        pattern = re.compile(str(groups))
    except re.error as error:
        raise DataError(f"groups: {groups!r} is not a regular expression ({error})") from None
    if pattern.groups != 1:
        raise DataError(
            f"groups must be {NONE!r}, {PREFIX!r} or a regular expression with one group in parentheses, got {groups!r}"
        )

    def group(id: str) -> str:
        match = pattern.search(id)
        if match is None or match[1] is None:
            raise DataError(f"groups: {groups!r} is not found in {id!r}")
        return match[1]

    return group


def name_prefix(id: str) -> str:
    """An id without its suffix and the counter or Kinetics' seconds at its end: ``a/video01`` of ``a/video01_3``."""
    folder, slash, name = id.rpartition("/")
    stem, suffix = splitext(name)
    if suffix.lower() not in SUFFIXES:  # a folder of frames may have a dot in its name
        stem = name
    return folder + slash + (_PART.sub("", stem) or stem)


def grouped_example(ids: Sequence[str], labels: Sequence[Hashable]) -> list[str]:
    """Two ids that look like parts of one source, where at least half of all ids do; [] otherwise.

    Names look like it where a class has several prefixes with several clips each. One prefix alone (``jump_1``,
    ``jump_2``, ...) is how the clips of a class are counted.
    """
    by_class: dict[Hashable, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for id, label in zip(ids, labels, strict=True):
        by_class[label][name_prefix(id)].append(id)
    sources = []
    for prefixes in by_class.values():
        several = [members for members in prefixes.values() if len(members) > 1]
        sources += several if len(several) > 1 else []
    if 2 * sum(map(len, sources)) < len(ids) or not sources:
        return []
    return sources[0][:2]


def checked_share(share) -> float:
    """`share`, where it is a share that can be held out for validation.

    Raises:
      DataError: it is not a number in [0, 1).
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise DataError(f"validation_share must be in [0, 1), got {share!r}")
    return share


def hold_out(labels: Sequence[Hashable], groups: Sequence[Hashable], share: float) -> list[bool]:
    """Which clips are held out: whole groups, so that of each class nearly `share` of its clips are.

    With h_c of class c's n_c clips held out, the sum over the classes of (h_c - share * n_c)^2 / n_c is made small:
    the groups are gone through in their order once, and each is held out where that brings the sum, over the clips so
    far, down; then single groups change sides for as long as that lowers the sum over all clips. The result depends on
    nothing but the arguments. Of two groups or more at least one is held out, where `share` is above 0, and one is not.

    Args:
      labels: of the clips.
      groups: of the clips.
      share: in [0, 1).

    Returns:
      For each clip whether it is held out.
    """
    members: dict[Hashable, Counter] = defaultdict(Counter)
    for label, group in zip(labels, groups, strict=True):
        members[group][label] += 1
    if len(members) < 2 or share == 0:
        return [False] * len(groups)
    totals = Counter(labels)
    held: Counter = Counter()
    out: set[Hashable] = set()

    def change(group, counts: Mapping) -> float:
        """How the sum changes when `group` changes sides; the target is `share` of `counts`."""
        sign = -1 if group in out else 1
        return sum(
            sign * n * (2 * (held[label] - share * counts[label]) + sign * n) / totals[label]
            for label, n in members[group].items()
        )

    def turn(group):
        (held.subtract if group in out else held.update)(members[group])
        out.symmetric_difference_update([group])

    seen: Counter = Counter()
    for group in members:
        seen.update(members[group])
        if change(group, seen) < 0:
            turn(group)
    turned = True
    while turned:  # ends: the sum falls with each turn
        turned = False
        for group in members:
            if change(group, totals) < -1e-9:
                turn(group)
                turned = True
    if len(out) in (0, len(members)):
        turn(min(members, key=lambda group: change(group, totals)))
    return [group in out for group in groups]


def divided(items: Sequence, held_out: Sequence[bool]) -> dict[str, list]:
    """The items of each of the splits `HELD_OUT`, in their order; those held out are for validation."""
    pairs = list(zip(items, held_out, strict=True))
    return {split: [item for item, is_out in pairs if is_out == (split != "train")] for split in HELD_OUT}


def warn_share(root, held_out: Sequence[bool], share: float) -> None:
    """Says so where the share held out is far from the one asked for, as groups are large, or nothing is held out."""
    out, wanted = sum(held_out), share * len(held_out)
    if (share and not out) or abs(out - wanted) > max(1, wanted / 2):
        warn(
            f"{root}: {out} of {len(held_out)} clips are held out for validation, asked for a share of {share:g}: "
            "clips of one group stay together"
        )


def in_several(groups: Mapping[str, Sequence[Hashable]]) -> str:
    """Which groups have clips in several splits, in words that follow "some groups have clips"; "" where none has.

    Args:
      groups: of each split's clips.
    """
    splits_of = defaultdict(list)
    for split, of in groups.items():
        for group in dict.fromkeys(of):
            splits_of[group].append(split)
    several = [group for group, splits in splits_of.items() if len(splits) > 1]
    if not several:
        return ""
    return f"{len(several)} of {len(splits_of)} have clips in more than one split ({shown(several)})"
