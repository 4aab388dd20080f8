"""Explained clips as viewers take them: the frames, heat, mask, classes and scores of one clip at a time."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfvid.core.errors import DataError, TfvidError, warn_caller
from tfvid.explain.base import Explanation
from tfvid.report.explanation_picture import Pictured
from tfvid.report.film import Panel, map_title
from tfvid.report.overlay import display_size, overlay, resize, to_uint8
from tfvid.report.reel import read_reel
from tfvid.results.result_store import Result, read_results


@dataclass(frozen=True)
class ViewedClip:
    """One clip with its explanations.

    Attributes:
      name: the name of the clip, different for all clips of an export.
      frames: uint8 `(T, H, W, 3)`, RGB.
      target: the name of the class explained.
      predicted: the name of the model's top class.
      label: the name of the true class; "" if unknown.
      scores: the scores by name: "OS", "FS", "RS", "CS" and "KS" of a temporal mask; of other methods "score", or
        "score by <method>" if there are several results.
      heat: maps float32 `(T, h, w)` in [0, 1], by the name of their method.
      mask: the temporal mask `(T,)` in [0, 1], 1 = a frame that it chooses; None without one.
      objective: which frames the mask chooses, those "necessary" for the class, or those "sufficient" for it.
      seconds: `(T,)`, when each frame is shown in its file; empty if unknown.
    """

    name: str
    frames: np.ndarray
    target: str
    predicted: str
    label: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    heat: Mapping[str, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None
    seconds: Sequence[float] = ()
    objective: str = "necessary"

    def windows(self) -> list[tuple[int, int]]:
        """Returns the first and the last frame of each run of frames that the mask chooses (m > 0.5), from 0."""
        is_chosen = [] if self.mask is None else (np.asarray(self.mask) > 0.5).tolist()
        runs = itertools.groupby(range(len(is_chosen)), key=is_chosen.__getitem__)
        frames = [list(run) for chosen, run in runs if chosen]
        return [(run[0], run[-1]) for run in frames]

    def panels(self) -> tuple[Panel, ...]:
        """Returns the clip, and the clip under the heat of each method, at display size."""
        clip = resize(self.frames, display_size(self.frames.shape[1:3]))
        return Panel("clip", clip), *(Panel(map_title(name), overlay(clip, heat)) for name, heat in self.heat.items())


def explained_clips(
    source: Explanation | Mapping[str, Explanation] | str | Path,
    clips=None,
    *,
    class_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[ViewedClip]:
    """Yields the explained clips of one or more results, or of a folder of records.

    Args:
      source: the result of an explainer; results of the same clips by the name of their method, e.g.
        ``{"grad_cam": maps, "temporal_mask": masks}``; or a folder that ``tfvid explain`` wrote.
      clips: the explained clips, float `(B, T, H, W, C)` or uint8; None: those that the results keep. Not for a folder.
      class_names: names by class index; None: "class 3". Not for a folder, whose records name their classes.
      names: a name for each clip; None: "clip 0", "clip 1", ... Not for a folder, whose records have ids.

    Yields:
      A `ViewedClip` for each clip, or for each clip and model of a folder with several models.

    Raises:
      TfvidError: the results are of different clips, or `clips` or `names` do not fit them.
      DataError: the folder has no records, or no record with pictures, or a file cannot be read.
    """
    if isinstance(source, str | Path):
        if not (clips is None and class_names is None and names is None):
            raise TfvidError("clips, class_names and names: a folder of records has its own; leave them out")
        yield from _of_records(Path(source))
        return
    results = source if isinstance(source, Mapping) else {"attribution": source}
    if not results:
        raise TfvidError("expected one result or more, got none")
    yield from _of_results(results, clips, class_names, names)


def _of_results(results: Mapping[str, Explanation], clips, class_names, names) -> Iterator[ViewedClip]:
    pictured = {method: Pictured(result, clips, class_names) for method, result in results.items()}
    first = next(iter(pictured.values()))
    names = [f"clip {i}" for i in range(len(first.clips))] if names is None else list(names)
    counts = {len(one.explanation) for one in pictured.values()} | {len(names), len(set(names))}
    if len(counts) > 1:
        raise TfvidError(f"names and results: expected one of each for every clip, names all different, got {counts}")
    masked = next((one for one in pictured.values() if one.mask(0) is not None), first)
    keeps = getattr(masked.explanation, "keeps", np.zeros(len(names), bool))
    for i, name in enumerate(names):
        yield ViewedClip(
            name=name,
            frames=to_uint8(first.clips[i]),
            target=first.caption(i),
            predicted=first.predicted(i),
            scores={
                f"score by {method}" if key == "score" and len(results) > 1 else key: score
                for method, one in pictured.items()
                for key, score in one.scores(i).items()
            },
            heat={
                method: strength(one.explanation.attribution[i])
                for method, one in pictured.items()
                if hasattr(one.explanation, "attribution")
            },
            mask=masked.mask(i),
            objective="sufficient" if keeps[i] else "necessary",
        )


def _of_records(folder: Path) -> Iterator[ViewedClip]:
    records = read_results(folder)
    drawn, models = [record for record in records if record.reel], {record.model for record in records}
    if not drawn:
        raise DataError(
            f"{folder}: none of the {len(records)} records has pictures; run tfvid explain without --draw 0"
        )
    if len(drawn) < len(records):
        warn_caller(
            f"{folder}: {len(records) - len(drawn)} of {len(records)} records have no pictures, and are left out"
        )
    for record in drawn:
        size = display_size(record.film_size)
        yield ViewedClip(
            name=record.id if len(models) == 1 else f"{record.model}/{record.id}",
            frames=read_reel(folder / record.reel, len(record.mask), size)[0],
            target=record.target_name,
            predicted=record.predicted_name,
            label=record.label_name,
            scores=_scores(record),
            heat={
                method: in_time(strength(map_), len(record.mask))
                for method, map_ in zip(record.methods, (record.map, *record.more_maps), strict=True)
            },
            mask=record.mask,
            seconds=record.seconds.tolist(),
            objective="sufficient" if record.objective == "sufficient" else "necessary",
        )


def _scores(record: Result) -> dict[str, float]:
    scores = {"OS": record.original_score, "FS": record.freeze_score, "RS": record.reverse_score}
    scores |= {"CS": record.true_score} if record.label >= 0 else {}
    return scores | ({} if record.objective == "necessary" else {"KS": record.kept_score})


def strength(attribution: np.ndarray) -> np.ndarray:
    """Returns maps `(T, H, W)` without their sign, divided by the largest value of the clip; zeros stay zeros."""
    size = np.abs(np.asarray(attribution, np.float32))
    return size / (size.max(initial=0) or 1)


def in_time(maps: np.ndarray, num_frames: int) -> np.ndarray:
    """Repeats T' maps `(T', h, w)` to one for each of T frames; frame t gets the map ``floor(t T' / T)``."""
    return maps[np.arange(num_frames) * len(maps) // num_frames]
