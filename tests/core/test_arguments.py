"""Numbers that a caller passes: NumPy's are taken, others are refused in one line that says what was expected."""

import numpy as np
import pytest
from small_videos import write_video

import tfvid
from tfvid.core.arguments import frame_size, whole_number
from tfvid.core.errors import ConfigError, TfvidError
from tfvid.data.settings import DataConfig


@pytest.mark.parametrize("value", [(8, 12), [8, 12], np.array([8, 12]), (np.int64(8), np.uint8(12))])
def test_sizes_become_plain_numbers(value):
    size = frame_size(value)
    assert size == (8, 12) and {type(side) for side in size} == {int}


@pytest.mark.parametrize(
    "value", [8, "88", "8x8", (8,), (8, 8, 3), (8.0, 8.0), (8, 0), (-1, 8), (True, 8), None, {8, 9.0}]
)
def test_other_sizes_are_refused(value):
    with pytest.raises(
        ConfigError, match=r"size must be \(height, width\), two whole numbers of 1 or more, got "
    ) as caught:
        frame_size(value)
    assert str(caught.value).endswith(repr(value))


def test_whole_numbers():
    assert whole_number(np.int32(3), "n") == 3 and type(whole_number(np.int32(3), "n")) is int
    assert whole_number(-3, "n", None) == -3
    for value in (0, 2.0, "2", True, None):
        with pytest.raises(ConfigError, match=f"n must be a whole number, 1 or more, got {value!r}"):
            whole_number(value, "n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((2, 8), r"size must be \(height, width\), two whole numbers of 1 or more, got 8"),
        ((2, (8, "8")), r"size must be \(height, width\)"),
        (("2", (8, 8)), "num_frames must be a whole number, 1 or more, got '2'"),
        ((2.0, (8, 8)), "num_frames must be a whole number, 1 or more, got 2.0"),
        ((2, (8, 8), 0.5), "start must be a whole number, got 0.5"),
        ((2, (8, 8), 0, "9"), "stop must be a whole number, got '9'"),
    ],
)
def test_read_clip_says_what_is_wrong(arguments, said):
    with pytest.raises(TfvidError, match=said) as caught:
        tfvid.read_clip("any.mp4", *arguments)
    assert "\n" not in str(caught.value)


def test_read_clip_takes_numpys_numbers(tmp_path):
    path = write_video(tmp_path / "a.avi", 6)
    clip = tfvid.read_clip(path, np.int64(2), np.array([8, 12]), np.int32(1), np.int64(5))
    np.testing.assert_array_equal(clip, tfvid.read_clip(path, 2, (8, 12), 1, 5))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 64}, r"size must be \(height, width\), two whole numbers of 1 or more, got 64"),
        ({"size": "64"}, r"size must be \(height, width\)"),
        ({"num_frames": "16"}, "num_frames must be a whole number, got '16'"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, got 2.5"),
        ({"max_bad_share": "all"}, "max_bad_share must be a number, got 'all'"),
        ({"augment": {"flp": True}}, "unknown key 'augment.flp'; did you mean 'augment.flip'"),
        ({"limit": 0}, "limit must be a whole number, 1 or more, got 0"),
    ],
)
def test_load_dataset_says_what_is_wrong(settings, said):
    with pytest.raises(ConfigError, match=said):
        tfvid.load_dataset("shapes", "validation", **settings)


def test_load_dataset_takes_numpys_numbers():
    dataset = tfvid.load_dataset(
        "shapes", "validation", size=np.array([8, 12]), num_frames=np.int64(4), limit=np.int64(3)
    )
    assert [batch["clip"].shape.as_list() for batch in dataset] == [[3, 4, 8, 12, 3]]


def test_a_size_that_is_none_is_refused_in_python_too():
    with pytest.raises(ConfigError, match=r"data.size must be \[height, width\] of 1 pixel or more, got 8"):
        DataConfig(size=8)
