"""Where the time goes, by a clock that the test turns."""

import threading

import pytest

from tfvid.core import timing
from tfvid.core.timing import each_timed, listed, recording, timed


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(timing.time, "monotonic", clock)
    return clock


def test_a_part_within_another_is_taken_out_of_it(clock):
    with recording() as seconds:
        clock.now += 7  # no part
        with timed("search"):
            clock.now += 1
            with timed("forward"):
                clock.now += 2
            clock.now += 4
            with timed("forward"):
                clock.now += 8
    assert seconds == {"search": 5, "forward": 10}


def test_waiting_for_items_counts_and_what_is_done_with_them_does_not(clock):
    def items():
        for item in "ab":
            clock.now += 3
            yield item
        clock.now += 1

    with recording() as seconds:
        for _ in each_timed("read", items()):
            clock.now += 100
    assert seconds == {"read": 7}


def test_an_error_ends_the_part(clock):
    with recording() as seconds:
        with pytest.raises(ValueError), timed("films"):
            clock.now += 2
            raise ValueError
        clock.now += 5
    assert seconds == {"films": 2}


def test_one_recording_within_another_and_none_in_other_threads(clock):
    def elsewhere():
        with timed("films"):
            clock.now += 50

    with recording() as outer:
        with recording() as inner, timed("read"):
            clock.now += 2
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        with timed("page"):
            clock.now += 3
    with timed("read"):
        clock.now += 9
    assert (inner, outer) == ({"read": 52}, {"page": 3})


def test_parts_as_text():
    assert listed({"page": 0.04, "films": 1, "upload": 2.25, "read": 12.34}) == "read 12.3 s, films 1.0 s, upload 2.2 s"
