"""Writes the page of an audit: one file that needs no server, no network and no other file. It has no script."""

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from markupsafe import Markup

from tfvid.core.files import replacing
from tfvid.experiments.audit.confusions import Confusion
from tfvid.experiments.audit.effects import Effect
from tfvid.experiments.audit.interventions import AS_IS, INTERVENTIONS
from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.regions import Profile
from tfvid.report.rendering import render
from tfvid.report.table import Table

STATES = {True: ("yes", "yes"), False: ("no", "no"), None: ("open", "undecided")}
# The numbers at the top: their names and titles.
SHOWN = {
    "top1": "top-1",
    "f1": "macro F1",
    "ece": "calibration error",
    "motion_share": "motion share",
    "top1_shared_sources": "top-1, shared sources",
    "shortcut": "best shortcut",
}
SOURCES = ("audit.json", "report.json", "manifest.json", "predictions.parquet", "clips.parquet", "explanations.parquet")
TABLES = ("interventions", "confusions", "classes", "shortcuts", "sources")
MOST_CLASSES = 12  # of which the page draws when and where
GRID = 16  # units of a drawing for one cell of a map

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_page(
    folder: Path,
    report: dict,
    *,
    effects: Sequence[Effect],
    profiles: Sequence[Profile],
    answers: Answers,
    films: Sequence[tuple[Confusion, Sequence[str]]],
) -> Path:
    """Writes ``index.html``.

    Args:
      folder: of the audit.
      report: the content of ``report.json``.
      effects: of the interventions.
      profiles: of the classes; those of the `MOST_CLASSES` with most clips are drawn.
      answers: of the model.
      films: the confusions, with the films of each, relative to `folder`.

    Returns:
      The page's path.
    """
    static = files("tfvid.report") / "static"
    names, path = answers.class_names, folder / "index.html"
    drawn = sorted(profiles, key=lambda one: (-int(np.sum(answers.labels == one.label)), one.label))[:MOST_CLASSES]
    by_id: dict[str, Table | None] = dict.fromkeys(TABLES)
    by_id |= {table["id"]: Table.from_dict(table) for table in report["tables"]}
    page = render(
        "audit.html",
        policy=POLICY,
        css=Markup("\n".join((static / name).read_text(encoding="utf-8") for name in ("page.css", "audit.css"))),
        title=report["title"],
        dataset=report["dataset"],
        numbers=[(title, report["quantities"].get(name)) for name, title in SHOWN.items()],
        findings=report["findings"],
        states=STATES,
        bars=[_bar(effect) for effect in effects],
        tables=by_id,
        confusions=[
            {
                "title": f"{names[one.label]} taken for {names[one.answer]}",
                "count": one.count,
                "films": _embedded(folder, one, of),
            }
            for one, of in films
        ],
        classes=[_drawn(one, names[one.label]) for one in drawn],
        undrawn=len(profiles) - len(drawn),
        notes=report["notes"],
        manifest=json.dumps(report["manifest"], indent=2, ensure_ascii=False),
        sources=[name for name in SOURCES if (folder / name).is_file()],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _bar(effect: Effect) -> dict:
    """One bar of the chart of interventions; numbers are percentages of its width."""
    is_known = effect.low is not None and effect.high is not None
    return {
        "words": INTERVENTIONS[effect.intervention].words,
        "top1": effect.top1,
        "low": effect.low if is_known else effect.top1,
        "high": effect.high if is_known else effect.top1,
        "kind": "plain" if effect.intervention == AS_IS else "fall" if effect.is_fall else "same",
    }


def _embedded(folder: Path, one: Confusion, films: Sequence[str]) -> list[dict]:
    """The films of a confusion as data URLs, so that the page needs no other file."""
    return [
        {
            "url": "data:image/webp;base64," + base64.b64encode((folder / film).read_bytes()).decode(),
            "text": f"{id}, probability {score:.2f}",
        }
        for film, id, score in zip(films, one.clips, one.scores, strict=False)
    ]


def _drawn(one: Profile, name: str) -> dict:
    """The drawings of a class: cells of the mean map, and columns over the frames."""
    height, width = one.heat.shape
    largest = max(float(one.heat.max()), 1e-12)
    return {
        "name": name,
        "clips": one.clips,
        "trusted": one.trusted,
        "width": width * GRID,
        "height": height * GRID,
        "cells": [(x * GRID, y * GRID, f"{one.heat[y, x] / largest:.2f}") for y in range(height) for x in range(width)],
        "rows": [
            ("necessary", "need", [f"{value:.2f}" for value in one.necessary]),
            ("sufficient", "keep", [f"{value:.2f}" for value in one.sufficient]),
        ],
        "frames": len(one.necessary),
        "numbers": one.numbers,
        "typical": one.typical,
        "odd": one.odd,
    }
