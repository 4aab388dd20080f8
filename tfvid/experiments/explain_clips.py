"""Explains clips with one model: masks, maps, scores, films, and a record for each clip.

    model, clips ─► TemporalMask, methods of maps ─► films, contact sheet ─► record

The record of a clip is written last. A run that was killed explains the clips that have no record.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tfvid.core.stopping import stop_if_asked
from tfvid.core.timing import each_timed
from tfvid.experiments.clip_explainers import ClipExplainers
from tfvid.experiments.explanation_records import explained
from tfvid.experiments.explanation_writer import ExplanationWriter
from tfvid.report.media import Films
from tfvid.results.result_store import ResultStore


def explain_clips(
    model,
    batches: Iterable[Mapping],
    out,
    *,
    name: str,
    class_names: tuple[str, ...],
    mask: Mapping | None = None,
    methods: Mapping[str, Mapping] | None = None,
    target: str = "predicted",
    source: str = "",
    paths: Mapping[str, str] | None = None,
    films: Films | None = None,
    progress: Callable[[int], None] = lambda clips: None,
) -> dict[str, str]:
    """Explains clips with one model, and writes films, contact sheets and records into a folder.

    Clips that have a record in the folder are not explained again, so a stopped run continues where it stopped. To
    compare models, call it once for each model with the same folder.

    Args:
      model: a Keras model from clips in [0, 1] to class scores.
      batches: batches as from `tfvid.load_dataset`: dicts of ``clip`` float `(B, T, H, W, 3)` in [0, 1], ``id`` `(B,)`,
        and optionally ``label`` `(B,)`, indices into `class_names` or -1; ``event`` `(B, 2)`, [start, stop) in frames
        or (-1, -1); and ``damage`` `(B,)`, the damage of the clip's file, "" for none.
      out: the folder for the results.
      name: the name of the model in records and on the page.
      class_names: the names of the classes, in the order of the model's scores.
      mask: options of `tfvid.TemporalMask`.
      methods: the methods of maps, names as in `tfvid.explainer`, each with its options, e.g. ``{"grad_cam": {},
        "rise": {"masks": 500}}``. None: Grad-CAM. Each gets a film on the page.
      target: the class explained: each clip's "predicted" or "true" class.
      source: describes the origin of the clips. Records of different sources are not mixed in a folder.
      paths: for the records, the video file of each clip, by id.
      films: the films and pictures to write; None for films of all formats for all clips.
      progress: a function that is called with the number of clips just finished.

    Returns:
      The reason for each skipped clip, by id.

    Raises:
      ConfigError: an option does not exist, or `out` contains records of `name` with other settings.
      TfvidError: the clips do not fit the model.
    """
    films = films or Films()
    explainers = ClipExplainers(model, target=target, source=source, mask=mask, methods=methods)
    writer = ExplanationWriter(out, ResultStore(out), films=films, progress=progress)
    return explain_batches(explainers, batches, writer, name=name, class_names=class_names, paths=paths)


def explain_batches(
    explainers: ClipExplainers,
    batches: Iterable[Mapping],
    writer: ExplanationWriter,
    *,
    name: str,
    class_names: tuple[str, ...],
    paths: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Explains clips with the explainers of a model, and writes the results by `writer`.

    Args:
      explainers: the explainers of the model.
      batches: see `explain_clips`.
      writer: writes films and records; records of its store with other settings raise an error.
      name: see `explain_clips`.
      class_names: see `explain_clips`.
      paths: see `explain_clips`.

    Returns:
      The reason for each skipped clip, by id.

    Raises:
      TfvidError: see `explain_clips`.
    """
    writer.store.check(name, explainers.settings)
    skipped: dict[str, str] = {}
    with writer:
        for batch in each_timed("read", batches):
            batch = {key: np.asarray(value) for key, value in batch.items()}
            batch["id"] = np.array([id.decode() if isinstance(id, bytes) else str(id) for id in batch["id"].tolist()])
            finite = np.isfinite(batch["clip"]).all(axis=(1, 2, 3, 4))
            skipped |= dict.fromkeys(batch["id"][~finite].tolist(), "NaN or infinite pixels")
            rows = finite & ~np.isin(batch["id"], list(writer.ids(name)))
            if rows.any():
                batch = {key: value[rows] for key, value in batch.items()}
                writer.take(explained(batch, explainers, name, class_names, paths or {}))
                stop_if_asked()
    return skipped
