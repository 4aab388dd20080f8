"""A process that explains one batch after the other does not grow; the short form of benchmarks/soak.py."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from quick_explainers import METHODS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WARM = 3  # batches after which all is traced, built and cached


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("soak")


def assert_steady(soak, methods, batches):
    """No file, thread or trace more after the first batches; objects and memory within what Python's caches take."""
    counts = np.array([counts for _, counts in soak.soak(methods, batches, batch=2)])[WARM:]
    grown = dict(zip(soak.COUNTED, (counts[-1] - counts[0]).tolist(), strict=True))
    assert grown["traces"] == 0 and grown["files"] <= 0 and grown["threads"] <= 0, grown
    # One object kept a call would be as many as there are calls; one clip kept a call 6 KB each.
    calls = len(methods) * (batches - WARM)
    assert grown["objects"] < calls / 2, grown
    assert grown["memory KB"] < 4096, grown


@pytest.mark.long
def test_explaining_on_and_on_does_not_grow(soak):
    """One method of each kind: a map, scores of masks, a mask learned by descent, relevance passed back."""
    assert_steady(soak, ["grad_cam", "rise", "temporal_mask", "excitation_backprop"], batches=43)


@pytest.mark.long
def test_no_method_grows(soak):
    assert_steady(soak, METHODS, batches=23)


def test_what_grows_is_seen(soak, monkeypatch):
    """An explainer that keeps what it was given, and a file open, is caught."""
    kept, make = [], soak.made

    def leaking(name, model):
        explain = make(name, model)
        return type("Leaking", (), {"__call__": lambda self, clips: kept.append([explain(clips), open(__file__)])})()

    monkeypatch.setattr(soak, "made", leaking)
    with pytest.raises(AssertionError, match="'files': 9"):
        assert_steady(soak, ["gradient"], batches=WARM + 10)
    for _, file in kept:
        file.close()


def test_the_command_prints_counts_and_slopes(soak, capsys):
    soak.main(["--clips", "6", "--batch", "2", "--methods", "gradient", "--anew"])
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.split()[:1] in (["2"], ["4"], ["6"])]
    assert [len(row) for row in rows] == [6, 6, 6]
    assert "for every 1,000 clips" in printed


def test_slopes_are_those_of_the_second_half(soak):
    rows = [(1000 * i, 7 if i > 5 else 1000, 2 * i, 0, 5, 5) for i in range(1, 11)]
    slopes = soak.slopes(rows)
    np.testing.assert_allclose([*slopes.values()], [0, 2, 0, 0, 0], atol=1e-9)
