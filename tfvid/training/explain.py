"""Explains a few validation clips while a model trains: the settings ``explain.log_*`` of a run."""

from pathlib import Path

import numpy as np

from tfvid.callbacks import ExplanationLogger
from tfvid.config import ExplainConfig
from tfvid.core.errors import DataError, VideoError
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.decode.worker import DecodePool
from tfvid.data.records import Records
from tfvid.data.settings import DataConfig
from tfvid.models.card import ModelCard


def explanation_logger(
    explain: ExplainConfig, data: DataConfig, dataset: VideoDataset, split: str, card: ModelCard, logs: Path
) -> ExplanationLogger:
    """Returns a callback that explains ``explain.log_clips`` clips every ``explain.log_every`` epochs.

    Args:
      explain: the settings of the explanations.
      data: the settings of the clips.
      dataset: the dataset of the clips.
      split: the validation split.
      card: the model's card.
      logs: the folder for the explanations.

    Raises:
      DataError: none of the clips can be read.
    """
    samples, clips = first_clips(dataset, split, explain.log_clips, data)
    steps = explain.log_iterations
    mask = explain.mask | ({} if steps is None else {"iterations": steps})
    return ExplanationLogger(
        {"temporal_mask": mask, "grad_cam": {"layer": card.layer} | explain.grad_cam},
        np.stack([clip.frames for clip in clips]).astype(np.float32) / 255,
        logs,
        every=explain.log_every,
        labels=[sample.label for sample in samples],
        class_names=card.class_names,
        ids=[sample.id for sample in samples],
        events=np.stack([clip.event for clip in clips]),
    )


def first_clips(dataset: VideoDataset, split: str, count: int, data: DataConfig) -> tuple[list, list]:
    """Returns the first readable samples of a split, and their clips. The classes take turns.

    Args:
      dataset: the dataset of the clips.
      split: the split of the dataset.
      count: the number of samples to try.
      data: the number of frames, the frame size and the time limit.

    Raises:
      DataError: none of the clips can be read.
    """
    samples, clips = [], []
    with DecodePool(dataset, 1, data.time_limit) as pool:
        read = dataset.read if isinstance(dataset, Records) else pool.read
        for sample in choose(dataset, split, None, count):
            try:
                clip = read(sample, data.num_frames, data.size)
            except VideoError as error:  # the validation lists it among the skipped clips
                reason = error
                continue
            samples.append(sample)
            clips.append(clip)
    if not samples:
        raise DataError(f"explain.log_clips: none of the clips to explain can be read; the last one: {reason}")
    return samples, clips
