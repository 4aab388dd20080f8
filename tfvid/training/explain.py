"""Explains a few validation clips while a model trains: the settings ``explain.log_*`` of a run."""

from pathlib import Path

import numpy as np

from tfvid.callbacks import ExplanationLogger
from tfvid.config import RunConfig
from tfvid.core.errors import DataError, VideoError
from tfvid.data.base import VideoDataset
from tfvid.data.choose import choose
from tfvid.data.decode.worker import DecodePool
from tfvid.data.records import Records
from tfvid.models.card import ModelCard


def explanation_logger(config: RunConfig, dataset: VideoDataset, card: ModelCard, logs: Path) -> ExplanationLogger:
    """Returns a callback that explains ``explain.log_clips`` clips every ``explain.log_every`` epochs.

    Raises:
      DataError: none of the clips can be read.
    """
    samples, clips = first_clips(config, dataset)
    steps = config.explain.log_iterations
    mask = config.explain.mask | ({} if steps is None else {"iterations": steps})
    return ExplanationLogger(
        {"temporal_mask": mask, "grad_cam": {"layer": card.layer} | config.explain.grad_cam},
        np.stack([clip.frames for clip in clips]).astype(np.float32) / 255,
        logs,
        every=config.explain.log_every,
        labels=[sample.label for sample in samples],
        class_names=card.class_names,
        ids=[sample.id for sample in samples],
        events=np.stack([clip.event for clip in clips]),
    )


def first_clips(config: RunConfig, dataset: VideoDataset) -> tuple[list, list]:
    """Returns the first readable samples of the validation split, and their clips. The classes take turns.

    Raises:
      DataError: none of the clips can be read.
    """
    samples, clips = [], []
    with DecodePool(dataset, 1, config.data.time_limit) as pool:
        read = dataset.read if isinstance(dataset, Records) else pool.read
        for sample in choose(dataset, config.train.validation_split, None, config.explain.log_clips):
            try:
                clip = read(sample, config.data.num_frames, config.data.size)
            except VideoError as error:  # the validation lists it among the skipped clips
                reason = error
                continue
            samples.append(sample)
            clips.append(clip)
    if not samples:
        raise DataError(f"explain.log_clips: none of the clips to explain can be read; the last one: {reason}")
    return samples, clips
