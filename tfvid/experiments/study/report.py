"""Writes the report of a study from its records: ``report.json``, a CSV file for each table, figures and the page."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfvid.config import ClassesConfig, StudyConfig
from tfvid.core.errors import first_of
from tfvid.data.skipped import damage_line
from tfvid.experiments.study import tables
from tfvid.experiments.study.differences import by_detector, by_filter, differences
from tfvid.experiments.study.findings import findings
from tfvid.experiments.study.measures import BLOBS, MEASURES, Measured
from tfvid.experiments.study.predictions import Answers
from tfvid.report.comparison import write_comparisons
from tfvid.report.finding import Finding
from tfvid.report.histograms import draw_histograms, histogram
from tfvid.report.report_file import write_report_file
from tfvid.report.study_page import write_study_page
from tfvid.report.table import Table
from tfvid.results.result_store import Result, ResultStore, read_results, still_line

SMALLEST_DROPS = (0.0, 0.001, 0.01, 0.05, 0.1)
OF_CLIPS = (*MEASURES, "temporal_iou")


def write_report(
    out,
    config: StudyConfig,
    answers: Answers,
    measured: Measured,
    *,
    chosen: Sequence[int],
    reverse_labels: dict[int, int] | None,
    methods: Mapping[str, list[dict]],
    manifest: dict,
    skipped: Mapping[str, str],
    fps: float,
) -> dict:
    """Writes the report of a study into `out`.

    Args:
      out: the study's folder.
      config: of the study.
      answers: the predictions of all models for the split.
      measured: the measures of the explained clips.
      chosen: labels of the compared classes.
      reverse_labels: for each label, the label of the clip played backwards; None if unknown.
      methods: rows of `tfvid.experiments.study.methods.method_table` by model; {} for none.
      manifest: of the study.
      skipped: for each unreadable clip, the reason by the clip's id.
      fps: frames per second of the films.

    Returns:
      The report, as in ``report.json``; docs/comparing.md describes it.

    Raises:
      DataError: a number in the report is NaN or infinite, or the records or a reel cannot be read.
    """
    out, dataset = Path(out), config.data.dataset
    results = read_results(out, maps=False) if ResultStore(out).files() else []
    found, compared = _comparisons(answers, measured, config.smallest_drop, config.seed)
    report = write_report_file(
        out,
        config.title,
        dataset={"name": dataset, "split": config.split, "clips": len(measured.ids)},
        groups=[{"name": name, "models": models} for name, models in answers.groups.items()],
        findings=found,
        tables=[
            tables.scores_table(answers, dataset, reverse_labels),
            tables.classes_table(answers, chosen, _rule(config.classes)),
            *_measures_tables(answers, measured, dataset, config.smallest_drop),
            *compared,
            tables.events_table(measured),
            tables.methods_table(methods),
        ],
        histograms=[_histogram(measured, name) for name in MEASURES],
        notes=_notes(config.target, answers, measured, results, skipped),
        clips=_clips(measured),
        manifest=manifest,
    )
    draw_histograms(report["histograms"], out / "figures" / "histograms.png", _means(measured))
    write_comparisons(out, [models[0] for models in answers.groups.values()])
    write_study_page(out, report, fps=fps)
    return report


def _comparisons(
    answers: Answers, measured: Measured, smallest_drop: float, seed: int
) -> tuple[list[Finding], list[Table]]:
    """Returns the findings about the first two groups, and the tables of the comparisons."""
    pairs = list(itertools.combinations(answers.groups, 2))
    first = pairs[0]
    tested = {pair: differences(measured, *pair, MEASURES, seed) for pair in pairs}
    detectors = by_detector(measured, *first, seed)
    filters = by_filter(measured, *first, sorted({smallest_drop, *SMALLEST_DROPS}), seed)
    variants = {name: [result for (_, measure), result in detectors.items() if measure == name] for name in BLOBS}
    variants["drop_ratio"] = [filters[key] for key in sorted(filters, key=lambda key: key != smallest_drop)]
    return findings(measured, tested[first], variants, *first, seed), [
        tables.tests_table(tested),
        tables.class_differences_table(measured, answers, *first),
        tables.detectors_table(detectors, *first),
        tables.filters_table(measured, filters, *first),
    ]


def _histogram(measured: Measured, name: str) -> dict:
    values = {group: measured.values(group, name) for group in measured.groups}
    return histogram(name, *tables.ABOUT[name][:2], values, whole=name == "mask_length")


def _measures_tables(answers: Answers, measured: Measured, dataset: str, smallest_drop: float) -> list[Table]:
    """Returns tables 3 and 4 of the paper."""
    return [
        tables.measures_table(
            "table_3",
            "Table 3: where the models look",
            "Blobs of the Grad-CAM maps: their number per frame, their size, and their distance from the centre of the "
            "frame. Mean ± standard deviation over the clips. A clip without blobs has no size and no distance.",
            measured,
            BLOBS,
            answers,
            dataset,
        ),
        tables.measures_table(
            "table_4",
            "Table 4: which frames the models need",
            "Mask length: the number of perturbed frames. Drop ratio: (OS − FS) / (OS − RS), without clips for which "
            f"one of the drops is {smallest_drop:g} or less. Drop difference: RS − FS. Mean ± standard "
            "deviation over the clips.",
            measured,
            MEASURES[3:],
            answers,
            dataset,
        ),
    ]


def _rule(rule: ClassesConfig) -> str:
    """Returns the description of the compared classes, for the caption of table 2."""
    if rule.names:
        return "those listed in the configuration"
    if rule.max_f1_gap == 1 and rule.min_f1 == 0:
        return "all"
    return f"those with F1 of {rule.min_f1:g} or more in each group and a difference of at most {rule.max_f1_gap:g}"


def _notes(
    target: str,
    answers: Answers,
    measured: Measured,
    results: Sequence[Result],
    skipped: Mapping[str, str],
) -> list[str]:
    first, second, *_ = answers.groups
    several = [name for name, models in answers.groups.items() if len(models) > 1]
    notes = [
        f"F1 is measured on all {len(answers.labels)} clips of the split, masks and maps on {len(measured.ids)} clips.",
        f"Each clip's {target} class is explained.",
        "Standard deviations are over clips (N in the denominator); intervals are 95 % BCa bootstrap intervals.",
        f"The findings compare {first}, in the role of the paper's 3-D network, with {second}, in the role of its "
        "C-LSTM. A finding is decided if the paired permutation test is significant at 5 % (with Holm's correction "
        "over the six measures). The test samples clips, so a finding holds for these models, not for all models of "
        "their architectures.",
    ]
    if several:
        notes.append(
            f"{' and '.join(several)}: groups of several models. The value of a clip is the mean over the models that "
            "have one, so each clip is one pair of values. The tables also list the means of each model."
        )
    if skipped:
        notes.append(f"{len(skipped)} clips could not be read and are left out: {first_of(sorted(skipped), 5)}.")
    return notes + _unusual(results)


def _unusual(results: Sequence[Result]) -> list[str]:
    """Returns notes on explained clips from damaged files and on clips of identical frames; the tables include both."""
    notes = []
    damaged = {result.id: result.damage for result in results if result.damage}
    if damaged:
        notes.append(f"Of the clips explained, {damage_line(damaged)}.")
    still = sorted({result.id for result in results if result.still})
    if still:
        notes.append(f"{still_line(still)}.")
    return notes


def _clips(measured: Measured) -> dict[str, dict[str, dict[str, float | None]]]:
    return {
        model: {id: {name: _rounded(columns[name][row]) for name in OF_CLIPS} for row, id in enumerate(measured.ids)}
        for model, columns in measured.columns.items()
    }


def _means(measured: Measured) -> dict[str, dict[str, float]]:
    """Returns the means of the groups by measure, without NaN."""
    means = {}
    for name in MEASURES:
        values = {group: measured.values(group, name) for group in measured.groups}
        known = {group: column[np.isfinite(column)] for group, column in values.items()}
        means[name] = {group: float(column.mean()) for group, column in known.items() if len(column)}
    return means


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
