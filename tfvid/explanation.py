"""Explaining clips from end to end: masks, maps, scores, films, and one record a clip that survives a kill.

model, clips ─► TemporalMask, GradCAM ─► films, contact sheet ─► record ─► page
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tfvid.errors import ConfigError, DataError, one_line, unknown
from tfvid.files import replacing
from tfvid.metrics.localization import centred_window, known_events, temporal_iou, windows
from tfvid.metrics.masks import is_trusted, mask_length
from tfvid.report.gallery import write_gallery
from tfvid.report.media import FORMATS, check_formats, write_media
from tfvid.results import Result, ResultStore, read_results
from tfvid.stopping import stop_if_asked

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
        and where known ``label`` `(B,)`, indices into `class_names` or -1, and ``event`` `(B, 2)`.
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
    learn, locate, settings = explainers.learn, explainers.locate, explainers.settings
    store = ResultStore(out) if store is None else store
    store.check(name, settings)

    skipped = {}
    for batch in batches:
        batch = {key: np.asarray(value) for key, value in batch.items()}
        ids = [id.decode() if isinstance(id, bytes) else str(id) for id in batch["id"].tolist()]
        finite = np.isfinite(batch["clip"]).all(axis=(1, 2, 3, 4))
        skipped |= {id: "NaN or infinite pixels" for id, fine in zip(ids, finite, strict=True) if not fine}
        done = store.done(name)
        rows = [row for row, id in enumerate(ids) if id not in done and finite[row]]
        if not rows:
            continue
        clips = batch["clip"][rows].astype(np.float32)
        labels = batch["label"][rows].astype(np.int32) if "label" in batch else np.full(len(rows), -1, np.int32)
        events = batch["event"][rows] if "event" in batch else np.full((len(rows), 2), -1)
        if target == "true" and (labels < 0).any():
            raise ConfigError(f"target 'true' needs labels, but clip {ids[rows[int(labels.argmin())]]} has none")

        masks = learn(clips, target=labels if target == "true" else None, labels=labels)
        maps = locate(clips, target=masks.target)
        perturbed = np.asarray(learn.perturb(clips, masks.mask))
        records = [
            Result(
                id=ids[row],
                model=name,
                path=(paths or {}).get(ids[row], ""),
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
                **{field: float(getattr(masks, field)[i]) for field in SCORES},
                **overlaps(masks.mask[i], events[i]),
            )
            for i, row in enumerate(rows)
        ]
        backwards = _backwards(clips, masks.mask, settings)
        with _writing(out):
            records = [
                write_media(
                    record,
                    out,
                    clips[i],
                    maps.attribution[i],
                    perturbed[i],
                    None if backwards is None else backwards[i],
                    formats=formats,
                    fps=fps,
                    colormap=colormap,
                )
                if shown(record.id)
                else record
                for i, record in enumerate(records)
            ]
            measure(records, maps.attribution, {key: value[rows] for key, value in batch.items()})
            store.append(records)  # last: a clip with a record has its files
        progress(len(records))
        stop_if_asked()
    return skipped


@contextmanager
def _writing(out):
    """A disk that is full or cannot be written is no fault of the clip's: one line, and no further clip is tried."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{out}: cannot be written ({reason}); what was done before is kept") from error


SCORES = (
    *("original_score", "freeze_score", "reverse_score", "true_score"),
    *("loss", "length_term", "variation_term", "score_term", "full_drop"),
)


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


def summary(out) -> list[str]:
    """One line a model on the run in `out`: clips, accuracy, mask length, drop, temporal IoU.

    Where a model explained `FEW` clips at most, a line for each clip follows, with the class explained and its scores.
    """
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
        lines += [_answer(result) for result in own] if len(own) <= FEW else []
    return lines


FEW = 5


def _answer(result: Result) -> str:
    """What was explained of one clip: "  push: Moving up 0.99, 0.01 with 8 of 16 frames frozen"."""
    little = "" if is_trusted(result.original_score, result.full_drop) else " (the mask says little)"
    return one_line(
        f"  {result.id}: {result.target_name} {result.original_score:.2f}, {result.freeze_score:.2f} with "
        f"{result.mask_length} of {len(result.mask)} frames frozen{little}"
    )


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
        from tfvid.explain.grad_cam import GradCAM
        from tfvid.explain.temporal_mask import TemporalMask

        if target not in TARGETS:
            raise ConfigError(unknown("target", target, TARGETS))
        self.settings = {"weights": weights_digest(model), "target": target, "source": source}
        self.settings |= explainer_options(mask or {}, grad_cam or {})
        self.learn, self.locate = TemporalMask(model, **mask or {}), GradCAM(model, **grad_cam or {})


def explainer_options(mask: Mapping, grad_cam: Mapping) -> dict:
    """Every option of both explainers that shapes their results: those given, else the defaults.

    Returns:
      Values by ``"mask.<option>"`` and ``"grad_cam.<option>"``.

    Raises:
      ConfigError: an option that does not exist, or a value that a record cannot hold.
    """
    from tfvid.explain.grad_cam import GradCAM
    from tfvid.explain.temporal_mask import TemporalMask

    options = {}
    for prefix, explainer, given in (("mask", TemporalMask, mask), ("grad_cam", GradCAM, grad_cam)):
        parameters = inspect.signature(explainer).parameters
        defaults = {f"{prefix}.{key}": parameter.default for key, parameter in parameters.items() if key != "model"}
        given = {f"{prefix}.{key}": value for key, value in given.items()}
        for key in given:
            if key not in defaults:
                raise ConfigError(unknown("option", key, defaults))
        options |= defaults | given
        del options[f"{prefix}.batch_size"]
    try:
        json.dumps(options)
    except TypeError:
        raise ConfigError(f"options of explainers must be plain values here, got {options}") from None
    return options


def weights_digest(model) -> str:
    """Tells one set of weights from another."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype)).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]
