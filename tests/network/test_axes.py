"""The axes of tensors, by hand."""

import pytest

from tfvid.network.axes import Atom, Axes, broadcast, chain, features, joined, places, reshaped, resized

B, T, H, W = places("B", 2), places("T", 4), places("H", 6), places("W", 8)
K = features(3)


def test_tokens_are_one_axis_of_frames_rows_and_columns():
    assert reshaped((B, T, H, W, K), (2, 192, 3)) == (B, (*T, *H, *W), K)
    assert reshaped((B, (*T, *H, *W), K), (2, 4, 48, 3)) == (B, T, (*H, *W), K)
    assert reshaped((B, T, H, W, K), (8, 48, 3)) == ((*B, *T), (*H, *W), K)


def test_windows_split_an_axis_and_join_it_again():
    """6 rows are 2 windows of 3: the outer index stands for 3 rows."""
    split = reshaped((B, H, K), (2, 2, 3, 3))
    assert split == (B, (Atom("H", 2, 3),), (Atom("H", 3, 1),), K)
    assert reshaped(split, (2, 6, 3)) == (B, H, K)
    assert joined((Atom("H", 3, 1), Atom("H", 2, 3))) == (Atom("H", 3, 1), Atom("H", 2, 3))  # in another order


def test_sizes_that_cut_an_atom_are_not_known():
    assert reshaped((B, T, H, K), (2, 6, 12)) is None
    plus = (Atom("+", 5, 1, T, 1, 0),)
    assert reshaped((B, plus, K), (10, 3)) == ((*B, *plus), K)
    assert reshaped((B, places("T", 16), K), (2, 4, 4, 3)) == (B, (Atom("T", 4, 4),), (Atom("T", 4, 1),), K)


def test_an_axis_of_one_kind_changes_its_size():
    assert resized((B, T, H, K), 1, 2) == (Atom("T", 2),)
    assert resized((B, T, H, K), 3, 7) == (Atom("", 7),)
    assert resized((B, (*T, *H), K), 1, 12) is None  # frames or rows?
    assert resized(((*B, Atom("H", 2, 3)), (Atom("H", 3, 1),), K), 1, 2) is None  # a part of the rows


def test_what_is_added_lies_where_the_places_lie():
    assert broadcast([Axes((B, T, K)), Axes((features(4), K))], (2, 4, 3)) == Axes((B, T, K))
    assert broadcast([Axes((B, T, K)), Axes((B, places("H", 4), K))], (2, 4, 3)) is None


@pytest.mark.parametrize(
    ("axes", "sizes"),
    [
        ((B, (*T, *H), K), [6]),
        (((*B, Atom("H", 2, 3)), (Atom("H", 3, 1),), K), [2, 3]),
        (((Atom("H", 3, 1),), (Atom("H", 2, 3),)), [2, 3]),
        ((B, K), []),
        ((B, H, H), None),  # twice, as query and key
        ((B, (Atom("H", 2, 6),), (Atom("H", 3, 1),)), None),  # a part between them is lacking
    ],
)
def test_the_atoms_of_one_kind_make_up_its_axis(axes, sizes):
    found = chain(axes, "H")
    assert (found if found is None else [atom.size for atom in found]) == sizes
