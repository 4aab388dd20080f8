"""The contract of data sets."""

from collections.abc import Mapping
from multiprocessing.reduction import ForkingPickler

import numpy as np

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Clip, Sample
from tfvid.testing.expect import expect, expect_array, expect_equal, expect_runs


def check_dataset(
    dataset: VideoDataset, *, num_frames: int = 4, size: tuple[int, int] = (16, 24), reads: int = 2
) -> None:
    """Checks that a data set keeps the contract of `tfvid.VideoDataset`.

    * ``class_names`` and ``splits`` are tuples of different texts; label maps name labels that exist.
    * ``samples(split)`` returns the same samples in every call: different ids, labels of classes or -1.
    * ``read`` returns uint8 frames `(T, H, W, 3)`, an event within them, and float32 boxes; twice the same.
    * The data set can be rebuilt in another process: its arguments can be pickled.

    Args:
      dataset: an instance.
      num_frames: frames per clip that are read, T.
      size: frame (H, W) in pixels.
      reads: clips read per split.

    Raises:
      AssertionError: the first violation, in one line.
    """
    name = type(dataset).__name__
    expect(isinstance(dataset, VideoDataset), name, "a tfvid.VideoDataset", name)
    for attribute in ("class_names", "splits"):
        _check_names(f"{name}.{attribute}", getattr(dataset, attribute, None))
    for attribute in ("flip_labels", "reverse_labels"):
        _check_labels(f"{name}.{attribute}", getattr(dataset, attribute), len(dataset.class_names))
    expect_runs(name, "arguments that can be pickled, for decode processes", ForkingPickler.dumps, dataset.arguments)
    for split in dataset.splits:
        where = f"{name}.samples({split!r})"
        samples = _check_samples(where, dataset, split)
        for sample in samples[:reads]:
            _check_read(f"{name}.read of {sample.id!r}", dataset, sample, num_frames, size)


def _check_names(name: str, values) -> None:
    expect(isinstance(values, tuple) and len(values) > 0, name, "a tuple of names", values)
    expect(all(isinstance(value, str) and value for value in values), name, "names that are text", values)
    expect(len(set(values)) == len(values), name, "different names", values)


def _check_labels(name: str, labels: Mapping[int, int] | None, count: int) -> None:
    if labels is not None:
        valid = all(label in range(count) for pair in labels.items() for label in pair)
        expect(valid, name, f"labels from 0 to {count - 1}, or None", labels)


def _check_samples(name: str, dataset: VideoDataset, split: str) -> list[Sample]:
    samples = expect_runs(name, "a list of samples", dataset.samples, split)
    expect(isinstance(samples, list), name, "a list", type(samples).__name__)
    expect(len(samples) > 0, name, "one sample or more", "none")
    for sample in samples:
        expect(isinstance(sample, Sample), name, "tfvid.Sample objects", type(sample).__name__)
        valid = sample.label in range(-1, len(dataset.class_names))
        expect(valid, f"{name}: {sample.id}", f"a label from -1 to {len(dataset.class_names) - 1}", sample.label)
    ids = [sample.id for sample in samples]
    expect(all(isinstance(id, str) and id for id in ids), name, "ids that are text", ids)
    expect(len(set(ids)) == len(ids), name, "different ids", f"{len(ids)} samples with {len(set(ids))} ids")
    expect(dataset.samples(split) == samples, name, "the same samples in a second call", "others")
    return samples


def _check_read(name: str, dataset: VideoDataset, sample: Sample, num_frames: int, size: tuple[int, int]) -> None:
    clip = expect_runs(name, "a clip", dataset.read, sample, num_frames, size)
    expect(isinstance(clip, Clip), name, "a tfvid.Clip", type(clip).__name__)
    expect_array(f"{name}: frames", clip.frames, (num_frames, *size, 3), np.uint8)
    expect(np.shape(clip.event) == (2,), f"{name}: event", "(first, one-past-last)", clip.event)
    start, stop = np.asarray(clip.event).tolist()
    inside = (start, stop) == (-1, -1) or 0 <= start < stop <= num_frames
    expect(inside, f"{name}: event", f"frames within 0 to {num_frames}, or (-1, -1)", (start, stop))
    expect_array(f"{name}: boxes", clip.boxes, (num_frames, dataset.max_boxes, 4), np.float32)
    again = dataset.read(sample, num_frames, size)
    expect_equal(name, "the same frames in a second call", {"frames": clip.frames}, {"frames": again.frames}, 0)
