"""Axes of tensors inside a model: which part of the clip each index of each axis stands for.

An axis is a tuple of atoms, the outermost first: tokens that a model makes of T' H' W' places are one axis of the three
atoms T, H and W. Reshaping splits and joins atoms, transposing moves them, a convolution changes their size. So the
axes say where each token of a transformer lies on the clip, whatever the model's code looks like.
"""

from typing import NamedTuple

PLACES = ("T", "H", "W")  # frames, rows, columns


class Atom(NamedTuple):
    """A part of an axis.

    Attributes:
      kind: "B" for clips, "T", "H", "W" for frames, rows and columns; "" for features; "+" for places of the clip with
        class tokens before or after them.
      size: the number of its indices.
      stride: how many steps of the clip's axis, in units of its finest part in this tensor, one index stands for.
      inside: for "+", the atoms of the places.
      before: for "+", the number of class tokens before the places.
      after: for "+", the number of class tokens after them.
    """

    kind: str
    size: int
    stride: int = 1
    inside: tuple["Atom", ...] = ()
    before: int = 0
    after: int = 0


Axis = tuple[Atom, ...]  # () for an axis of one index


class Picked(NamedTuple):
    """One index of an axis of the clip, which a tensor is made of: a single frame of `size` frames."""

    kind: str
    place: int
    size: int


class Axes(NamedTuple):
    """What the axes of a tensor stand for.

    Attributes:
      of: one `Axis` for each axis of the tensor.
      picked: the single frames, rows or columns that the tensor is made of.
    """

    of: tuple[Axis, ...]
    picked: tuple[Picked, ...] = ()


def features(size: int) -> Axis:
    """Returns an axis of `size` features."""
    return (Atom("", size),) if size > 1 else ()


def places(kind: str, size: int) -> Axis:
    """Returns an axis of `size` frames, rows, columns or clips."""
    return (Atom(kind, size),) if size > 1 else ()


def size_of(axis: Axis) -> int:
    """Returns the number of indices of an axis."""
    size = 1
    for atom in axis:
        size *= atom.size
    return size


def is_placed(axis: Axis) -> bool:
    """Whether any index of an axis stands for a clip or for a part of one."""
    return any(atom.kind for atom in axis)


def flat(axes: tuple[Axis, ...]) -> list[Atom]:
    """Returns all atoms of a tensor's axes, those between class tokens too."""
    return [part for axis in axes for atom in axis for part in (atom.inside if atom.kind == "+" else (atom,))]


def kinds(axis: Axis) -> set[str]:
    """Returns the kinds of places, "T", "H" and "W", in an axis."""
    return {atom.kind for atom in flat((axis,))} & set(PLACES)


def joined(axis: Axis) -> Axis:
    """Returns an axis with atoms that follow each other in the clip, too, as one: 2 windows of 4 rows are 8 rows."""
    out: list[Atom] = []
    for atom in axis:
        last = out[-1] if out else None
        if last and atom.kind == last.kind == "":
            out[-1] = Atom("", last.size * atom.size)
        elif last and atom.kind == last.kind != "+" and last.stride == atom.size * atom.stride:
            out[-1] = Atom(atom.kind, last.size * atom.size, atom.stride)
        elif atom.size > 1:
            out.append(atom)
    return tuple(out)


def reshaped(axes: tuple[Axis, ...], shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """Returns the axes of a tensor that is reshaped to `shape`; None where an atom does not split into these sizes."""
    atoms = [atom for axis in axes for atom in axis]
    out: list[Axis] = []
    for size in shape:
        axis: list[Atom] = []
        while size > 1:
            if not atoms:
                return None
            atom = atoms.pop(0)
            if size % atom.size == 0:
                axis.append(atom)
                size //= atom.size
            elif atom.size % size == 0 and atom.kind != "+":
                inner = atom.size // size
                axis.append(Atom(atom.kind, size, atom.stride * inner))
                atoms.insert(0, Atom(atom.kind, inner, atom.stride))
                size = 1
            else:
                return None
        out.append(joined(tuple(axis)))
    return None if atoms or 0 in shape else tuple(out)


def resized(axes: tuple[Axis, ...], number: int, size: int) -> Axis | None:
    """Returns axis `number` with `size` indices over the same stretch of the clip, as after a strided convolution.

    None where the axis stands for several things at once, e.g. rows and columns, or for a part of the rows.
    """
    axis = axes[number]
    if size_of(axis) == size:
        return axis
    if not is_placed(axis):
        return features(size)
    kind = axis[0].kind
    if len(axis) > 1 or kind not in PLACES or sum(atom.kind == kind for atom in flat(axes)) > 1:
        return None
    return places(kind, size)


def broadcast(parts: list[Axes], shape: tuple[int, ...]) -> Axes | None:
    """Returns the axes of an element by element result of `shape`.

    An axis of places wins over an axis of features: what a model adds to tokens lies as they do. None where two parts
    say different things.
    """
    out: list[Axis] = []
    for back in range(len(shape), 0, -1):
        found = {part.of[-back] for part in parts if len(part.of) >= back and size_of(part.of[-back]) == shape[-back]}
        placed = [axis for axis in found if is_placed(axis)]
        if len(placed) > 1:
            return None
        out.append(placed[0] if placed else features(shape[-back]))
    picked = set(parts[0].picked).intersection(*(part.picked for part in parts))
    return Axes(tuple(out), tuple(sorted(picked)))


def chain(axes: tuple[Axis, ...], kind: str) -> list[Atom] | None:
    """Returns the atoms of one kind, the outermost first; None if they do not make up the whole axis of the clip."""
    atoms = sorted((atom for atom in flat(axes) if atom.kind == kind), key=lambda atom: -atom.stride)
    for outer, inner in zip(atoms, atoms[1:], strict=False):
        if outer.stride != inner.size * inner.stride:
            return None
    return atoms
