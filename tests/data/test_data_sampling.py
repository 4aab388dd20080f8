"""Even frame sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.sampling import even_indices


@pytest.mark.parametrize(
    ("count", "num_frames", "expected"),
    [
        (16, 16, list(range(16))),
        (10, 4, [0, 3, 6, 9]),
        (48, 16, [0, 3, 6, 9, 13, 16, 19, 22, 25, 28, 31, 34, 38, 41, 44, 47]),
        (4, 3, [0, 2, 3]),  # 1.5 is a tie: to the even neighbour, up
        (6, 3, [0, 2, 5]),  # 2.5 is a tie: to the even neighbour, down
        (4, 7, [0, 0, 1, 2, 2, 2, 3]),  # 0.5, 1.5, 2.5
        (1, 3, [0, 0, 0]),
        (2, 5, [0, 0, 0, 1, 1]),  # 0.25, 0.5 (a tie), 0.75
        (9, 1, [0]),
    ],
)
def test_literals(count, num_frames, expected):
    assert even_indices(count, num_frames).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 64))
def test_in_order_within_range_and_end_to_end(count, num_frames):
    indices = even_indices(count, num_frames)
    assert indices.dtype == np.int64 and indices.shape == (num_frames,)
    assert (np.diff(indices) >= 0).all()
    assert indices[0] == 0
    assert num_frames == 1 or indices[-1] == count - 1
    if count >= num_frames:  # nothing is repeated
        assert len(set(indices.tolist())) == num_frames


@pytest.mark.parametrize(("count", "num_frames"), [(0, 4), (4, 0)])
def test_nothing_to_choose(count, num_frames):
    with pytest.raises(ValueError, match="1 or more"):
        even_indices(count, num_frames)
