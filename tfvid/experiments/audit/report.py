"""Writes the report of an audit: ``report.json``, ``audit.json``, the tables as CSV, and the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvid.data.choose import in_turn
from tfvid.experiments.audit import explanations, quantities, tables
from tfvid.experiments.audit.confusions import Confusion, confusions
from tfvid.experiments.audit.effects import effects
from tfvid.experiments.audit.explanations import CONFUSION, SAMPLE, Explained
from tfvid.experiments.audit.findings import Evidence, all_findings
from tfvid.experiments.audit.interventions import INTERVENTIONS
from tfvid.experiments.audit.motion import motion_shares
from tfvid.experiments.audit.page import write_page
from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.properties import Properties
from tfvid.experiments.audit.regions import Profile, profiles
from tfvid.experiments.audit.shortcuts import named_properties, shortcuts
from tfvid.experiments.audit.sources import all_sources, shared_accuracy, source_names
from tfvid.experiments.clips import Clips
from tfvid.metrics.calibration import expected_calibration_error
from tfvid.report.numbers import finite
from tfvid.report.report_file import write_report_file
from tfvid.report.table import Table


def write_report(
    out: Path,
    clips: Clips,
    answers: Answers,
    found: Sequence[Properties],
    *,
    manifest: dict,
    seed: int,
    skipped: Mapping[str, str],
) -> dict:
    """Writes all files of the report.

    Args:
      out: the folder of the audit, with its records.
      clips: all clips of the audit.
      answers: the model's answers.
      found: the properties of the clips of `answers`.
      manifest: of the audit.
      seed: of bootstraps and permutations.
      skipped: the reason for each clip that could not be read.

    Returns:
      The report, as in ``report.json``, with ``quantities`` and ``classes``.
    """
    explained = [one for one in explanations.read(out) if one.clip in set(answers.ids)]
    sampled = _current(explained, SAMPLE, clips, manifest["config"]["explain"], answers)
    of_classes, confused = profiles(sampled), confusions(answers)
    evidence = _evidence(clips, answers, found, sampled, seed)
    classes = _classes(answers, evidence.motion, of_classes)
    config = manifest["config"]
    report = write_report_file(
        out,
        f"Audit of {clips.model.name}",
        dataset={"name": config["data"]["dataset"], "split": clips.split, "clips": len(answers.ids)},
        findings=all_findings(evidence),
        tables=_tables(evidence, confused, of_classes),
        notes=_notes(clips, sampled, skipped, len(answers.ids), answers),
        manifest=manifest,
        quantities={name: finite(value) for name, value in evidence.quantities.items()},
        classes=classes,
        skipped=dict(skipped),
    )
    summary = {name: report[name] for name in ("dataset", "quantities", "classes", "findings")}
    quantities.write(out, {"model": clips.model.name, "class_names": list(answers.class_names)} | summary)
    write_page(
        out,
        report,
        effects=list(evidence.effects.values()),
        profiles=of_classes,
        answers=answers,
        films=_films(confused, explained),
    )
    return report


def _tables(of: Evidence, confused: Sequence[Confusion], of_classes: Sequence[Profile]) -> list[Table | None]:
    return [
        tables.interventions_table(list(of.effects.values())),
        tables.confusions_table(confused, of.answers.class_names),
        tables.classes_table(of.answers, of.motion, of_classes),
        tables.shortcuts_table(of.shortcuts),
        tables.sources_table(of.sources, of.source_of, of.answers),
    ]


def _current(explained: Sequence[Explained], role: str, clips: Clips, most: int, answers: Answers) -> list[Explained]:
    """The explanations of a role that this run asks for: a folder may hold those of a run with more clips."""
    readable = set(answers.ids)
    wanted = {s.id for s in in_turn([s for s in clips.samples if s.id in readable])[:most]}
    return [one for one in explained if one.role == role and one.clip in wanted]


def _evidence(
    clips: Clips, answers: Answers, found: Sequence[Properties], sampled: Sequence[Explained], seed: int
) -> Evidence:
    sample_of = {sample.id: sample for sample in clips.samples}
    source_of = source_names(clips.dataset, [sample_of[id] for id in answers.ids])
    sources, of_interventions = all_sources(clips.dataset), effects(answers, seed)
    shared = shared_accuracy(source_of, answers.right(), sources, seed)
    predicting = shortcuts(answers, named_properties(found, source_of), seed)
    motion = motion_shares(answers)
    values: dict[str, float | None] = {
        "clips": len(answers.ids),
        **quantities.of_effects(of_interventions),
        "f1": of_interventions[0].f1,
        "ece": expected_calibration_error(answers.probabilities["as_is"], answers.labels),
        **quantities.of_motion(motion),
        **quantities.of_shortcuts(predicting, shared),
        "foreground": float(np.mean([one.foreground for one in found])),
        **quantities.of_explanations(sampled),
    }
    by_name = {one.intervention: one for one in of_interventions}
    return Evidence(answers, by_name, motion, predicting, sources, source_of, shared, values)


def _classes(answers: Answers, motion: Mapping[int, float | None], found: Sequence[Profile]) -> dict[str, dict]:
    """Returns the numbers of each class by its name."""
    numbers = {one.label: one.numbers for one in found}
    classes: dict[str, dict[str, Any]] = {}
    changed = [name for name in answers.probabilities if name != "as_is"]
    for label in answers.classes:
        own = answers.labels == label
        classes[answers.class_names[label]] = {
            "clips": int(own.sum()),
            "top1": float(answers.right()[own].mean()),
            "motion_share": motion[label],
            **{f"top1_{name}": float(answers.right(name)[own].mean()) for name in changed},
            **{name: finite(value) for name, value in numbers.get(label, {}).items()},
        }
    return classes


def _films(confused: Sequence[Confusion], explained: Sequence[Explained]) -> list[tuple[Confusion, list[str]]]:
    """Returns the films of each confusion that has some."""
    films = {one.clip: one.film for one in explained if one.role == CONFUSION and one.film}
    listed = [(one, [films[id] for id in one.clips if id in films]) for one in confused]
    return [(one, of) for one, of in listed if of]


def _notes(clips: Clips, sampled: Sequence[Explained], skipped: Mapping, asked: int, answers: Answers) -> list[str]:
    left_out = [one.words for name, one in INTERVENTIONS.items() if name not in answers.probabilities]
    notes = [
        f"The model was asked about {asked} clips of the split {clips.split!r}, {len(skipped)} could not be read.",
        "Foreground is what lies in the boxes of the data set, or, without boxes, what differs from the median frame "
        "of the clip. Where the camera moves, this is most of the frame, and interventions on fore- and background "
        "say little.",
        "Clips of one source resemble each other. The intervals and tests count them as independent, so they are too "
        "narrow where few sources have many clips.",
    ]
    if sampled:
        notes.append(
            f"{len(sampled)} clips are explained, the classes in turn; the label is explained. Necessary frames: the "
            "window that lowers the score most for its length when it is frozen. Sufficient frames: the window with "
            f"the highest score when it alone is played. Maps: {sampled[0].maps.replace('_', ' ')}."
        )
        if all(np.isnan(one.same_with_seed) for one in sampled):
            notes.append(f"{sampled[0].maps.replace('_', ' ')} draws no random numbers, so it has no other seed.")
    else:
        notes.append("No clips are explained (explain=0).")
    return notes + ([f"Left out: {', '.join(left_out)}."] if left_out else [])
