"""The clips that are still to do: a run that goes on decodes no others."""

import copy
from collections.abc import Iterator

from tfvid.data.base import VideoDataset
from tfvid.data.decode.clip import Sample
from tfvid.data.pipeline.load import load_dataset


def remaining_batches(
    dataset: VideoDataset, split: str, samples: list[Sample], done: set[str], to_model: dict[int, int], **settings
) -> Iterator[dict]:
    """Batches of those `samples` that are not `done`, with the model's labels.

    Args:
      dataset: whose samples they are.
      split: where they are from.
      samples: all that are asked for, done or not.
      done: ids.
      to_model: the model's label by the dataset's; -1 for one that is not in it.
      **settings: of `tfvid.load_dataset`. ``max_bad_share`` and ``max_damaged_share`` are of all `samples`, not of
        what a second start finds missing.

    Yields:
      Dicts of NumPy arrays, see `tfvid.load_dataset`.
    """
    missing = [sample for sample in samples if sample.id not in done]
    if not missing:
        return
    # The dataset stays what it is but for its samples: decode processes rebuild it by name.
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
