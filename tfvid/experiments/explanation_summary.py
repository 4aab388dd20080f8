"""Finishes a run of `explain_clips`: merges its records, writes the page, and summarises it in a few lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfvid.core.errors import one_line
from tfvid.core.files import replacing
from tfvid.data.skipped import damage_line
from tfvid.experiments.evaluation import chance_warning
from tfvid.metrics.masks import is_trusted
from tfvid.report.gallery import write_gallery
from tfvid.results.result_store import STILL, Result, ResultStore, read_results, still_line

SKIPPED = "skipped.json"
FEW = 5  # the summary describes each clip if a model explained at most this many


def finish(
    out,
    *,
    skipped: dict[str, str] | None = None,
    title: str | None = None,
    fps: float = 5.0,
    notes: Mapping[str, str] | None = None,
) -> Path | None:
    """Merges the records in `out`, and writes the list of skipped clips and the page.

    Args:
      out: the folder of the results.
      skipped: the reason for each skipped clip, by id.
      title: the title of the page; None for the default.
      fps: frames per second of the films.
      notes: the notes of the models' cards by name, for the page.

    Returns:
      The path of the page; None if there are no records.
    """
    store = ResultStore(out)
    if skipped:
        with replacing(Path(out) / SKIPPED) as temporary:
            temporary.write_text(json.dumps(skipped, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        (Path(out) / SKIPPED).unlink(missing_ok=True)
    if not store.files():
        return None
    store.merge()
    return write_gallery(out, skipped=skipped, fps=fps, notes=notes, **({} if title is None else {"title": title}))


def summary(out, num_classes: Mapping[str, int] | None = None) -> list[str]:
    """Returns a line for each model of the run in `out`: clips, accuracy, mask length, drop, temporal IoU.

    A warning follows if the accuracy of a model is at chance level, see
    `tfvid.experiments.evaluation.chance_warning`. If a model explained at most `FEW` clips, lines for each clip follow:
    the class explained and its scores, the classes with the highest probabilities, and whether all frames are
    identical. The last lines state the number of damaged clips and of clips of identical frames.

    Args:
      out: the folder of the results.
      num_classes: the number of classes of each model, by name, for the warning.
    """
    results = read_results(out)
    lines = []
    for name in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == name]
        lines += _of_model(name, own, (num_classes or {}).get(name))
    damaged = {result.id: result.damage for result in results if result.damage}
    still = list(dict.fromkeys(result.id for result in results if result.still))
    if damaged:
        lines.append(damage_line(damaged))
    if still and len({result.id for result in results}) > FEW:
        lines.append(still_line(still))
    return lines


def _of_model(name: str, own: Sequence[Result], num_classes: int | None) -> list[str]:
    """Returns the lines about one model and its records."""
    known = [result.correct for result in own if result.correct is not None]
    lengths = [result.mask_length for result in own]
    drops = [result.original_score - result.freeze_score for result in own]
    line = f"{name}: {len(own)} clips"
    line += f", accuracy {np.mean(known):.2f}" if known else ""
    line += f", mask {np.mean(lengths):.1f} ± {np.std(lengths):.1f} frames, OS - FS {np.mean(drops):.2f}"
    events = [result for result in own if result.event[0] >= 0]
    if events:
        found, random, centred = (
            np.mean([getattr(result, f"temporal_iou{kind}") for result in events])
            for kind in ("", "_random", "_centred")
        )
        line += f", temporal IoU {found:.2f} (random {random:.2f}, centred {centred:.2f})"
    line += _that_suffices(own)
    lines = [line]
    if num_classes and (warning := chance_warning(sum(known), len(known), num_classes)):
        lines.append(f"warning: {warning}")
    return lines + [line for result in own for line in _of_clip(result)] if len(own) <= FEW else lines


def _that_suffices(own: Sequence[Result]) -> str:
    """Returns the words about the sufficient masks of a model; "" if there are none."""
    asked = [result for result in own if result.objective != "necessary"]
    if not asked:
        return ""
    lengths, kept = ([getattr(result, name) for result in asked] for name in ("sufficient_length", "kept_score"))
    reached = sum(result.reached for result in asked)
    words = f", frames that suffice {np.mean(lengths):.1f} ± {np.std(lengths):.1f} (KS {np.mean(kept):.2f}, share kept "
    words += f"in {reached} of {len(asked)} clips"
    known = [result.sufficient_iou for result in asked if result.event[0] >= 0]
    return words + (f", temporal IoU {np.mean(known):.2f})" if known else ")")


def _of_clip(result: Result) -> list[str]:
    """Returns the lines about one clip: the class explained with its scores, and the model's top classes.

    For example "  push: explained Moving up, score 0.99; 0.01 with 8 of 16 frames frozen" and
    "    top 5: Moving up 0.99, Moving down 0.01, ...".
    """
    trusted = result.still or is_trusted(result.original_score, result.full_drop)
    note = "" if trusted else " (the mask has little meaning)"
    frozen = f"; {result.freeze_score:.2f} with {result.mask_length} of {len(result.mask)} frames frozen"
    frozen = "" if result.objective == "sufficient" else frozen  # then the mask is not of frames to freeze
    lines = [f"  {result.id}: explained {result.target_name}, score {result.original_score:.2f}{frozen}{note}"]
    if result.objective != "necessary":
        number, kept = result.sufficient_length, result.kept_score
        lines.append(f"    {number} of {len(result.mask)} frames suffice: {kept:.2f} if only these move")
    if result.top:
        classes = zip(result.top_names, result.top_scores, strict=True)
        lines.append(f"    top {len(result.top)}: " + ", ".join(f"{name} {score:.2f}" for name, score in classes))
    if result.still:
        lines.append(f"    {STILL.format(len(result.mask))}")
    return [one_line(line) for line in lines]
