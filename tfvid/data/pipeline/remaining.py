"""The clips that a continued run still has to process: no others are decoded."""

import copy
from collections.abc import Iterator

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline.load import load_dataset


def remaining_batches(
    dataset: VideoDataset, split: str, samples: list[Sample], done: set[str], to_model: dict[int, int], **settings
) -> Iterator[dict]:
    """Yields batches of the `samples` that are not `done`, with the labels of the model.

    Args:
      dataset: the data set of the samples.
      split: their split.
      samples: all samples of the run.
      done: ids of those that are complete.
      to_model: the label of the model for each label of the data set; a label that is not in it becomes -1.
      **settings: of `tfvid.load_dataset`. ``max_bad_share`` and ``max_damaged_share`` are shares of all `samples`.

    Yields:
      Dicts of NumPy arrays, see `tfvid.load_dataset`.
    """
    missing = [sample for sample in samples if sample.id not in done]
    if not missing:
        return
    # A copy with fewer samples: decode processes make the data set again from its name and arguments.
    part = copy.copy(dataset)
    part.samples = lambda split: missing  # type: ignore[method-assign]
    for share in ("max_bad_share", "max_damaged_share"):
        if share in settings:
            settings[share] = min(1.0, settings[share] * len(samples) / len(missing))
    left = {sample.id for sample in missing}
    for batch in load_dataset(part, split, **settings):
        batch = {key: value.numpy() for key, value in batch.items()}
        ids = [id.decode() for id in batch["id"].tolist()]
        rows = [row for row, id in enumerate(ids) if id in left]  # shards are read from the start
        if rows:
            batch = {key: value[rows] for key, value in batch.items()}
            batch["label"][:] = [to_model.get(label, -1) for label in batch["label"].tolist()]
            yield batch
        left -= set(ids)
        if not left:
            return
