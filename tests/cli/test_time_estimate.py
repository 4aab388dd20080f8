"""What a command says in advance about its time."""

import pytest

from tfvid.cli import demo
from tfvid.cli import time_estimate as pace


def test_the_probe_runs_and_pace_is_relative_to_the_reference(monkeypatch):
    assert 0 < pace.probe(runs=1) < 60
    monkeypatch.setattr(pace, "probe", lambda: 3 * pace.REFERENCE)
    assert pace.pace() == pytest.approx(3)


def test_estimates_in_words():
    assert [pace.about(seconds) for seconds in (2, 44, 89, 90, 200)] == [
        *("about 10 s", "about 40 s", "about 90 s", "about 2 min", "about 3 min")
    ]


def test_each_part_says_how_long_it_will_take_and_how_long_it_took(monkeypatch, capsys):
    monkeypatch.setattr(demo, "pace", lambda: 2.0)
    step = demo.Steps({"draw": 20.0})
    with step("1 of 2: draw", "draw"):
        pass
    with step("2 of 2: train", "train"):
        pass
    assert capsys.readouterr().out == "\n== 1 of 2: draw, about 40 s\n   (0 s)\n\n== 2 of 2: train\n   (0 s)\n"
