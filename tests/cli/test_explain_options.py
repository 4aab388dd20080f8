"""The options of ``tfvid explain``, without a run."""

import pytest

from tfvid.cli.explain_options import parse
from tfvid.core.errors import ConfigError


def test_options_that_are_repeated_add_up():
    arguments, _ = parse(["--video", "a.mp4", "b.mp4", "--video", "c.mp4", "--classes", "x", "--classes", "y", "z"])
    assert arguments.video == ["a.mp4", "b.mp4", "c.mp4"]
    assert arguments.classes == ["x", "y", "z"]


def test_options_of_methods():
    arguments, config = parse(
        ["--dataset", "shapes", "--method", "rise", "--method", "temporal_mask", "rise.masks=50", "mask.iterations=3"]
    )
    assert arguments.methods == {"rise": {"masks": 50}}
    assert config.explain.mask["iterations"] == 3
    with pytest.raises(ConfigError, match="no method 'rise' in this run; add --method rise"):
        parse(["--dataset", "shapes", "rise.masks=50"])
