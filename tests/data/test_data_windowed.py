"""Clips that move in a known window only."""

import dataclasses

import numpy as np
import pytest

import tfvid
from tfvid.core.errors import ConfigError
from tfvid.data import MovingShapes, Windowed
from tfvid.data.pipeline import make_dataset
from tfvid.data.settings import DataConfig
from tfvid.perturb.temporal import hold

OPTIONS = {"validation": 20, "train": 0}


def windowed(**more):
    return Windowed(dataset="shapes", options=OPTIONS, **more)


def test_all_motion_lies_in_the_window():
    dataset, whole = windowed(), MovingShapes(**OPTIONS)
    for sample in dataset.samples("validation"):
        clip, was = dataset.read(sample, 16, (24, 24)), whole.read(sample, 16, (24, 24))
        start, stop = clip.event
        assert 1 <= start < stop <= 15 and 5 <= stop - start <= 10
        assert (clip.frames[:start] == was.frames[start]).all() and (clip.frames[stop:] == was.frames[stop - 1]).all()
        np.testing.assert_array_equal(clip.frames[start:stop], was.frames[start:stop])
        shown = np.clip(np.arange(16), start, stop - 1)
        np.testing.assert_array_equal(clip.boxes, was.boxes[shown])


def test_a_windowed_clip_is_the_clip_held_outside_its_window():
    dataset, whole = windowed(), MovingShapes(**OPTIONS)
    sample = dataset.samples("validation")[3]
    clip = dataset.read(sample, 12, (16, 16))
    mask = np.zeros((1, 12), np.float32)
    mask[0, clip.event[0] : clip.event[1]] = 1
    held = hold(whole.read(sample, 12, (16, 16)).frames[np.newaxis], mask)[0]
    np.testing.assert_array_equal(held, clip.frames.astype(np.float32))


def test_windows_depend_on_seed_and_id_alone():
    dataset = windowed()
    samples = dataset.samples("validation")
    events = [dataset.window(sample, 16) for sample in samples]
    assert [windowed().window(sample, 16) for sample in samples[::-1]] == events[::-1]
    assert [windowed(seed=1).window(sample, 16) for sample in samples] != events
    assert len(set(events)) > 5
    assert dataset.window(dataclasses.replace(samples[0], label=3, path="elsewhere"), 16) == events[0]


def test_by_name_by_setting_and_in_decode_processes():
    """A pool of processes makes the data set again from its arguments."""
    settings = {"num_frames": 8, "size": (16, 16), "batch_size": 4, "workers": 1, "limit": 4}
    batch = next(iter(tfvid.load_dataset("shapes", "validation", events="windowed", options=OPTIONS, **settings)))
    options = {"dataset": "shapes", "options": OPTIONS}
    other = next(iter(tfvid.load_dataset("windowed", "validation", options=options, **settings)))
    dataset = windowed()
    for i, sample in enumerate(dataset.samples("validation")[:4]):
        clip = dataset.read(sample, 8, (16, 16))
        for found in (batch, other):
            np.testing.assert_array_equal(found["event"][i], clip.event)
            np.testing.assert_allclose(found["clip"][i], clip.frames / 255, atol=1e-6)
    assert dataset.class_names == MovingShapes().class_names and dataset.max_boxes == 2


def test_what_is_refused():
    with pytest.raises(ConfigError, match="expected the name of another data set, got None"):
        make_dataset("windowed")
    with pytest.raises(ConfigError, match="got 'windowed'"):
        make_dataset(DataConfig(dataset="windowed", events="windowed"))
    with pytest.raises(ConfigError, match="data.records"):
        make_dataset(DataConfig(records="shards", events="windowed"))
    with pytest.raises(ConfigError, match="data.events must be own or windowed|events"):
        DataConfig(events="some")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs the name of a data set, got a MovingShapes"):
        tfvid.load_dataset(MovingShapes(), "validation", events="windowed")
    with pytest.raises(ConfigError, match="need 4 frames or more"):
        windowed().window(windowed().samples("validation")[0], 3)
    with pytest.raises(ConfigError, match="dataset shapes: .*option.*sed"):
        Windowed(dataset="shapes", options={"sed": 1})
