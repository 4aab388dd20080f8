"""Explaining clips from end to end: masks, maps, scores, films, and one record a clip that survives a kill.

model, clips ─► TemporalMask, GradCAM ─► films, contact sheet ─► record ─► page
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfvid.core.errors import ConfigError, StillClipWarning, one_line, unknown
from tfvid.core.files import replacing
from tfvid.core.stopping import stop_if_asked
from tfvid.core.timing import each_timed
from tfvid.data.skipped import damage_line
from tfvid.experiments.explanation_writer import Explained, ExplanationWriter
from tfvid.explain.recorded_options import explainer_options
from tfvid.metrics.localization import centred_window, known_events, temporal_iou, windows
from tfvid.metrics.masks import is_trusted, mask_length
from tfvid.network.model_format import ModelFormat, declared
from tfvid.report.gallery import write_gallery
from tfvid.report.media import FORMATS, check_formats
from tfvid.results.result_store import STILL, Result, ResultStore, read_results, still_line

TARGETS = ("predicted", "true")
SKIPPED = "skipped.json"


def explain_clips(
    model,
    batches: Iterable[Mapping],
    out,
    *,
    name: str,
    class_names: tuple[str, ...],
    mask: Mapping | None = None,
    grad_cam: Mapping | None = None,
    target: str = "predicted",
    source: str = "",
    paths: Mapping[str, str] | None = None,
    formats: tuple[str, ...] = FORMATS,
    fps: float = 5.0,
    colormap: str = "inferno",
    shown: Callable[[str], bool] = lambda id: True,
    measure: Callable[[list[Result], np.ndarray, Mapping], None] = lambda records, maps, batch: None,
    progress: Callable[[int], None] = lambda clips: None,
    store=None,
    explainers: "Explainers | None" = None,
) -> dict[str, str]:
    """Explains clips with one model and writes films, contact sheets and records into `out`.

    Clips that have a record there already are passed over, so a run that was killed goes on where it stopped. Call
    it once a model, with the same `out`, then `finish`.

    Args:
      model: a Keras model of clips in [0, 1] to class scores.
      batches: as from `tfvid.load_dataset`: dicts of ``clip`` float `(B, T, H, W, 3)` in [0, 1], ``id`` `(B,)`,
        and where known ``label`` `(B,)`, indices into `class_names` or -1, ``event`` `(B, 2)`, and ``damage`` `(B,)`,
        what is wrong with the clip's file, "" for nothing.
      out: the run's folder.
      name: of the model, in records and on the page.
      class_names: in the order of the model's scores.
      mask: options of `TemporalMask`.
      grad_cam: options of `GradCAM`.
      target: which class is explained: each clip's "predicted" or "true" one.
      source: where the clips come from; records from different sources are not mixed.
      paths: video file by id, for the records.
      formats: of the films, some of "gif", "mp4", "webp".
      fps: frames a second of the films.
      colormap: of the heatmaps, see `tfvid.report.overlay.overlay`.
      shown: whether a clip, by id, gets films and pictures; the others get a record only.
      measure: called with records before they are stored, their maps float32 `(B, T, H, W)`, and their part of the
        batch. A run that is killed between this and the storing calls it again with the same clips.
      progress: called with the number of clips just done.
      store: where records go, a `ResultStore`, `ResultPart` or the like; None for the one in `out`.
      explainers: those of an earlier call with the same model, target, source and options; None makes them.

    Returns:
      Why clips were skipped, by id.

    Raises:
      ConfigError: an option that does not exist; or `out` holds records of `name` made in another way.
      TfvidError: clips that do not fit the model.
    """
    check_formats(formats)
    explainers = explainers or Explainers(model, target=target, source=source, mask=mask, grad_cam=grad_cam)
    store = ResultStore(out) if store is None else store
    store.check(name, explainers.settings)

    skipped: dict[str, str] = {}
    media = {"formats": formats, "fps": fps, "colormap": colormap}
    with ExplanationWriter(out, store, shown=shown, measure=measure, progress=progress, media=media) as writer:
        for batch in each_timed("read", batches):
            batch = {key: np.asarray(value) for key, value in batch.items()}
            batch["id"] = np.array([id.decode() if isinstance(id, bytes) else str(id) for id in batch["id"].tolist()])
            finite = np.isfinite(batch["clip"]).all(axis=(1, 2, 3, 4))
            skipped |= dict.fromkeys(batch["id"][~finite].tolist(), "NaN or infinite pixels")
            rows = finite & ~np.isin(batch["id"], list(store.done(name) | writer.ids()))
            if rows.any():
                batch = {key: value[rows] for key, value in batch.items()}
                writer.take(_explained(batch, explainers, name, class_names, paths or {}))
                stop_if_asked()
    return skipped


def _explained(batch: dict, explainers: "Explainers", name: str, class_names, paths: Mapping[str, str]) -> Explained:
    """Explains all clips of a batch."""
    settings, count = explainers.settings, len(batch["id"])
    clips, ids = batch["clip"].astype(np.float32), batch["id"].tolist()
    labels = batch["label"].astype(np.int32) if "label" in batch else np.full(count, -1, np.int32)
    events = batch["event"] if "event" in batch else np.full((count, 2), -1)
    target = labels if settings["target"] == "true" else None
    if target is not None and (labels < 0).any():
        raise ConfigError(f"target 'true' needs labels, but clip {ids[int(labels.argmin())]} has none")

    damage = [words.decode() if isinstance(words, bytes) else str(words) for words in batch.get("damage", [""] * count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StillClipWarning)  # the records say it
        masks = explainers.learn(clips, target=target, labels=labels)
    if len(class_names) != masks.probabilities.shape[1]:
        raise ConfigError(
            f"class_names: expected {masks.probabilities.shape[1]}, one for each class of model {name!r}, "
            f"got {len(class_names)}"
        )
    top = np.argsort(-masks.probabilities, axis=1, kind="stable")[:, :TOP]  # of equal ones the first, as argmax does
    maps = explainers.locate(clips, target=masks.target)
    records = [
        Result(
            id=ids[i],
            model=name,
            path=paths.get(ids[i], ""),
            label=int(labels[i]),
            label_name=class_names[labels[i]] if labels[i] >= 0 else "",
            predicted=int(masks.predicted[i]),
            predicted_name=class_names[masks.predicted[i]],
            target=int(masks.target[i]),
            target_name=class_names[masks.target[i]],
            perturbation=str(settings["mask.perturbation"]),
            mask=masks.mask[i],
            mask_length=int(mask_length(masks.mask[i])),
            map=maps.native[i],
            size=clips.shape[2:4],
            event=tuple(events[i].tolist()),
            settings=json.dumps(settings),
            iterations=int(masks.iterations[i]),
            top=tuple(top[i].tolist()),
            top_names=tuple(class_names[index] for index in top[i]),
            top_scores=masks.probabilities[i, top[i]],
            damage=damage[i],
            still=bool(masks.still[i]),
            **_numbers(masks, i, events[i]),
        )
        for i in range(count)
    ]
    perturbed = np.asarray(explainers.learn.perturb(clips, masks.mask))
    return Explained(records, clips, maps.attribution, perturbed, _backwards(clips, masks.mask, settings), batch)


TOP = 5  # classes a record lists

SCORES = (
    *("original_score", "freeze_score", "reverse_score", "true_score"),
    *("loss", "length_term", "variation_term", "score_term", "full_drop"),
)


def _numbers(masks, i: int, event: np.ndarray) -> dict[str, Any]:
    """The scores of clip `i` and how well its mask overlaps the event, as fields of `Result`."""
    return {field: float(getattr(masks, field)[i]) for field in SCORES} | overlaps(masks.mask[i], event)


def overlaps(mask: np.ndarray, event: np.ndarray) -> dict[str, float]:
    """Temporal IoU of one mask `(T,)` with its event, and of two masks of the same length that know nothing.

    Returns:
      ``temporal_iou``; ``temporal_iou_random``, the mean over all windows of that length; ``temporal_iou_centred``,
      of the one in the middle. NaN where the event is not known.
    """
    mask, event = np.asarray(mask)[np.newaxis], np.asarray(event)[np.newaxis]
    if not known_events(event)[0]:
        return dict.fromkeys(("temporal_iou", "temporal_iou_random", "temporal_iou_centred"), float("nan"))
    num_frames, length = mask.shape[1], int(mask_length(mask)[0])
    starts = np.arange(num_frames - length + 1)
    anywhere = windows(starts, np.full_like(starts, length), num_frames)
    return {
        "temporal_iou": float(temporal_iou(mask, event)[0]),
        "temporal_iou_random": float(temporal_iou(anywhere, np.repeat(event, len(anywhere), axis=0)).mean()),
        "temporal_iou_centred": float(temporal_iou(centred_window(mask), event)[0]),
    }


def finish(out, *, skipped: dict[str, str] | None = None, title: str | None = None, fps: float = 5.0) -> Path | None:
    """Merges the records in `out`, writes the list of skipped clips, and the page.

    Returns:
      The page, or None where there is nothing to show.
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
    return write_gallery(out, skipped=skipped, fps=fps, **({} if title is None else {"title": title}))


def summary(out, num_classes: Mapping[str, int] | None = None) -> list[str]:
    """One line a model on the run in `out`: clips, accuracy, mask length, drop, temporal IoU.

    A warning follows where a model is right as often as guessing is, see
    `tfvid.experiments.evaluation.chance_warning`. Where a model explained `FEW` clips at most, lines for each clip
    follow: the class explained and its scores, the classes of the highest probabilities, and what is wrong with the
    clip. Otherwise lines at the end say how many clips come from damaged files or have identical frames only.

    Args:
      out: the run's folder.
      num_classes: of the models, by name, to tell guessing from knowing.
    """
    from tfvid.experiments.evaluation import chance_warning

    results = read_results(out)
    lines = []
    for name in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == name]
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
        lines.append(line)
        classes = (num_classes or {}).get(name)
        if classes and (warning := chance_warning(sum(known), len(known), classes)):
            lines.append(f"warning: {warning}")
        lines += [line for result in own for line in _answer(result)] if len(own) <= FEW else []
    damaged = {result.id: result.damage for result in results if result.damage}
    still = list(dict.fromkeys(result.id for result in results if result.still))
    if damaged:
        lines.append(damage_line(damaged))
    if still and len({result.id for result in results}) > FEW:
        lines.append(still_line(still))
    return lines


FEW = 5


def _answer(result: Result) -> list[str]:
    """What was explained of one clip, and the model's top classes.

    For example "  push: explained Moving up, score 0.99; 0.01 with 8 of 16 frames frozen" and
    "    top 5: Moving up 0.99, Moving down 0.01, ...".
    """
    little = "" if result.still or is_trusted(result.original_score, result.full_drop) else " (the mask says little)"
    lines = [
        f"  {result.id}: explained {result.target_name}, score {result.original_score:.2f}; {result.freeze_score:.2f} "
        f"with {result.mask_length} of {len(result.mask)} frames frozen{little}"
    ]
    if result.top:
        classes = zip(result.top_names, result.top_scores, strict=True)
        lines.append(f"    top {len(result.top)}: " + ", ".join(f"{name} {score:.2f}" for name, score in classes))
    if result.still:
        lines.append(f"    {STILL.format(len(result.mask))}")
    return [one_line(line) for line in lines]


def _backwards(clips, mask, settings):
    """The clips reversed by their masks, for a second film; None where the first one shows just that."""
    if settings["mask.perturbation"] == "reverse":
        return None
    from tfvid.perturb.temporal import reverse

    return np.asarray(reverse(clips, mask))


class Explainers:
    """What explains clips with one model: compiled by its first clips, so worth keeping from call to call.

    Args:
      model: see `explain_clips`, as are the others.

    Attributes:
      learn: the `TemporalMask`.
      locate: the `GradCAM`.
      settings: all that decides a record, besides the clip: the model's weights, the class, the source, the options.

    Raises:
      ConfigError: an option or a target that does not exist.
    """

    def __init__(
        self,
        model,
        *,
        target: str = "predicted",
        source: str = "",
        mask: Mapping | None = None,
        grad_cam: Mapping | None = None,
    ):
        from tfvid.explain.cam.grad_cam import GradCAM
        from tfvid.explain.masks.temporal_mask import TemporalMask

        if target not in TARGETS:
            raise ConfigError(unknown("target", target, TARGETS))
        self.settings = {"weights": weights_digest(model), "target": target, "source": source}
        self.settings |= explainer_options(mask or {}, grad_cam or {}) | _said_of(model)
        self.learn, self.locate = TemporalMask(model, **mask or {}), GradCAM(model, **grad_cam or {})


def _said_of(model) -> dict:
    """What was declared of a model and changes what it sees; {} where nothing was."""
    known, plain = declared(model), ModelFormat()
    said = {name: value for name, value in vars(known).items() if value != getattr(plain, name)}
    if said.get("input_range") in (None, (0.0, 1.0)):
        said.pop("input_range", None)
    return {f"model.{name}": value for name, value in said.items()}


def weights_digest(model) -> str:
    """Tells one set of weights from another."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype)).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]
