"""Draws the explanations of one clip by several models below one another, like figures 2, 3 and 5 of the paper.

Mänttäri et al., "Interpreting Video Features", ACCV 2020. A figure shows the frames of a clip, and for each model the
Grad-CAM maps, the mask as a strip, and the scores. It is made from the files of a finished run; neither the models nor
the videos are needed.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tfvid.core.errors import TfvidError
from tfvid.core.files import safe_name
from tfvid.report.film import Panel, titles
from tfvid.report.media import note
from tfvid.report.overlay import display_size
from tfvid.report.reel import drawn_map, read_reel
from tfvid.report.sheet import Block, draw_blocks, save_sheet
from tfvid.results.result_store import Result, ResultStore, read_results


def draw_comparison(folder, results: Sequence[Result]) -> Image.Image:
    """Draws the explanations of one clip by several models.

    Args:
      folder: of the run.
      results: the records of one clip, one per model, each with a reel.

    Returns:
      An RGB image.

    Raises:
      TfvidError: the records belong to several clips, or one has no reel.
      DataError: a reel cannot be read.
    """
    first = results[0]
    for result in results:
        if result.id != first.id or not result.reel:
            what = f"one of {result.id}" if result.id != first.id else f"none by {result.model}"
            raise TfvidError(f"expected reels of one clip, {first.id}; got {what}")
    of_clip, of_map, *_ = titles(first.perturbation, first.methods)
    blocks: list[Block] = []
    for result in results:
        panels = read_reel(Path(folder) / result.reel, len(result.mask), display_size(result.film_size))
        if not blocks:
            blocks.append(Block((Panel(of_clip, panels[0]),)))
        heat = Panel(of_map, drawn_map(panels, result.reel_panels))
        blocks.append(Block((heat,), result.mask, _told(result)))
    return draw_blocks(blocks, title=first.label_name or first.id, event=first.event)


def write_comparisons(folder, models: Sequence[str], count: int = 3) -> list[Path]:
    """Draws the first clips that all models classify correctly, one per class, into ``figures/clip_<id>.png``.

    The selection is automatic, so that the figures do not show hand-picked examples.

    Args:
      folder: of the run.
      models: the models to compare, in order. Only clips with a reel of every model can be drawn.
      count: maximum number of clips.

    Returns:
      The files: fewer than `count` if there are fewer such classes, none if there are no results.

    Raises:
      DataError: the results or a reel cannot be read.
    """
    by_clip: dict[str, dict[str, Result]] = {}
    for result in read_results(folder, maps=False) if ResultStore(folder).files() else []:
        if result.model in models and result.reel and result.correct:
            by_clip.setdefault(result.id, {})[result.model] = result
    first_of: dict[int, list[Result]] = {}
    for of_clip in by_clip.values():
        if len(of_clip) == len(models):
            results = [of_clip[model] for model in models]
            first_of.setdefault(results[0].label, results)
    figures, drawn = Path(folder) / "figures", list(first_of.values())[:count]
    for stale in figures.glob("clip_*.png"):  # of an earlier report
        stale.unlink()
    return [
        save_sheet(Path(folder) / "figures" / f"clip_{safe_name(results[0].id)}.png", draw_comparison(folder, results))
        for results in drawn
    ]


def _told(result: Result) -> str:
    """Returns the line above a model's maps."""
    return f"{note(result)}  ·  mask of {result.mask_length} frames  ·  predicted: {result.predicted_name}"
