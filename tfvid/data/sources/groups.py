"""Keeps clips that belong together, such as parts of one source video, on one side of a split.

A model that was trained on one part of a video recognises the other parts by their background, so their accuracy in
validation is too high.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from os.path import splitext

from tfvid.core.errors import DataError
from tfvid.data.decode.clip_files import SUFFIXES, shown, warn

NONE, PREFIX = "none", "prefix"
HELD_OUT = ("train", "validation")  # the splits of a data set of which a share is held out

# The end of a name: start and stop in seconds, as in Kinetics, "_000010_000020"; or a counter: "_c01", "-3", " (2)"
# after a separator, "c01" after another number.
_PART = re.compile(r"(?:_0\d{5}_0\d{5}|(?:[\W_]+[A-Za-z]{0,5}|(?<=\d)[A-Za-z]{1,5})\d+\W*)$")


def group_function(groups: str | None) -> Callable[[str], Hashable]:
    r"""Returns a function from the id of a clip to its group.

    Args:
      groups: "none" or None: each clip is a group of its own. "prefix": see `name_prefix`. Otherwise a regular
        expression with one group, which is searched for in the id: ``_(g\d+)_`` finds ``g01`` in
        ``a/v_a_g01_c02.avi``.

    Raises:
      DataError: `groups` is not such an expression. The function raises it for an id that does not match.
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
    """Returns an id without its suffix and the counter, or Kinetics' seconds: ``a/video01`` for ``a/video01_3``."""
    folder, slash, name = id.rpartition("/")
    stem, suffix = splitext(name)
    if suffix.lower() not in SUFFIXES:  # a folder of frames may have a dot in its name
        stem = name
    return folder + slash + (_PART.sub("", stem) or stem)


def grouped_example(ids: Sequence[str], labels: Sequence[Hashable]) -> list[str]:
    """Returns two ids that look like parts of one source, if at least half of all ids do; [] otherwise.

    The names of a class look like that if several prefixes have several clips each. A single prefix (``jump_1``,
    ``jump_2``, ...) just numbers the clips of the class.
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
    """Returns `share`, the share that is held out for validation.

    Raises:
      DataError: it is not a number in [0, 1).
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise DataError(f"validation_share must be in [0, 1), got {share!r}")
    return share


def hold_out(labels: Sequence[Hashable], groups: Sequence[Hashable], share: float) -> list[bool]:
    """Chooses whole groups that are held out, so that nearly `share` of the clips of each class are.

    If h_c of the n_c clips of class c are held out, the sum over the classes of (h_c - share * n_c)^2 / n_c is made
    small. First, each group in turn is held out if that lowers the sum over the clips up to this group. Then groups
    change sides, one at a time, as long as that lowers the sum over all clips. The result depends only on the
    arguments. If there are two groups or more and `share` is above 0, at least one group is held out and one is not.

    Args:
      labels: the label of each clip.
      groups: the group of each clip.
      share: the share to hold out, in [0, 1).

    Returns:
      Whether each clip is held out.
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
        """Returns the change of the sum if `group` changes sides; the target is `share` of `counts`."""
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
    while turned:  # this ends, because the sum falls with each turn
        turned = False
        for group in members:
            if change(group, totals) < -1e-9:
                turn(group)
                turned = True
    if len(out) in (0, len(members)):
        turn(min(members, key=lambda group: change(group, totals)))
    return [group in out for group in groups]


def divided(items: Sequence, held_out: Sequence[bool]) -> dict[str, list]:
    """Returns the items of each of the splits `HELD_OUT`, in their order; those held out are for validation."""
    pairs = list(zip(items, held_out, strict=True))
    return {split: [item for item, is_out in pairs if is_out == (split != "train")] for split in HELD_OUT}


def warn_share(root, held_out: Sequence[bool], share: float) -> None:
    """Warns if nothing is held out, or if the share is far from the requested one because groups are large."""
    out, wanted = sum(held_out), share * len(held_out)
    if (share and not out) or abs(out - wanted) > max(1, wanted / 2):
        warn(
            f"{root}: {out} of {len(held_out)} clips are held out for validation, although validation_share is "
            f"{share:g}: clips of one group stay together"
        )


def in_several(groups: Mapping[str, Sequence[Hashable]]) -> str:
    """Returns which groups have clips in several splits, ``2 of 9 have clips in ...``; "" if none has.

    Args:
      groups: the groups of the clips, by split.
    """
    splits_of = defaultdict(list)
    for split, of in groups.items():
        for group in dict.fromkeys(of):
            splits_of[group].append(split)
    several = [group for group, splits in splits_of.items() if len(splits) > 1]
    if not several:
        return ""
    return f"{len(several)} of {len(splits_of)} have clips in more than one split ({shown(several)})"
