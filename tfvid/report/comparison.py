"""One clip as several models see it, over each other: figures 2, 3 and 5 of the paper.

Mänttäri et al., "Interpreting Video Features", ACCV 2020: the frames of a clip, then for each model its Grad-CAM maps
and the strip of its mask, with the scores. Made from the files of an explained run, without model or video.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tfvid.core.errors import TfvidError
from tfvid.core.files import safe_name
from tfvid.report.film import Panel, titles
from tfvid.report.media import note
from tfvid.report.overlay import display_size
from tfvid.report.reel import read_reel
from tfvid.report.sheet import Block, draw_blocks, save_sheet
from tfvid.results.result_store import Result, ResultStore, read_results


def draw_comparison(folder, results: Sequence[Result]) -> Image.Image:
    """Draws one clip as each model sees it.

    Args:
      folder: of the run.
      results: of one clip, one a model, each with a reel.

    Returns:
      An RGB image.

    Raises:
      TfvidError: results of several clips, or one without a reel.
      DataError: a reel that cannot be read.
    """
    first = results[0]
    for result in results:
        if result.id != first.id or not result.reel:
            what = f"one of {result.id}" if result.id != first.id else f"none by {result.model}"
            raise TfvidError(f"a comparison wants reels of one clip, {first.id}; got {what}")
    of_clip, of_map, _ = titles(first.perturbation)
    blocks: list[Block] = []
    for result in results:
        clip, heat, _ = read_reel(Path(folder) / result.reel, len(result.mask), display_size(result.size))
        if not blocks:
            blocks.append(Block((Panel(of_clip, clip),)))
        blocks.append(Block((Panel(of_map, heat),), result.mask, _told(result)))
    return draw_blocks(blocks, title=first.label_name or first.id, event=first.event)


def write_comparisons(folder, models: Sequence[str], count: int = 3) -> list[Path]:
    """Draws clips into ``figures/clip_<id>.png``: the first that all models get right, each of another class.

    Nobody chooses them: a figure may show what its authors liked best, these show what came first.

    Args:
      folder: of the run.
      models: those to compare, in order; only clips with a reel of each can be drawn.
      count: clips at most.

    Returns:
      The files, fewer than `count` where there are not as many such classes; none where there are no results.

    Raises:
      DataError: results or a reel that cannot be read.
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
    for stale in figures.glob("clip_*.png"):  # of other classes, or another model, before
        stale.unlink()
    return [
        save_sheet(Path(folder) / "figures" / f"clip_{safe_name(results[0].id)}.png", draw_comparison(folder, results))
        for results in drawn
    ]


def _told(result: Result) -> str:
    """The line over a model's maps."""
    return f"{note(result)}  ·  mask of {result.mask_length} frames  ·  predicted: {result.predicted_name}"
