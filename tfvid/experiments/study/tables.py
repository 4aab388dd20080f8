"""The tables of a study: the four tables of the paper, and the tables of tests and comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvid.experiments.study.differences import Difference, common, filtered_ratio
from tfvid.experiments.study.measures import MEASURES, Measured
from tfvid.experiments.study.predictions import Answers
from tfvid.experiments.study.published import published
from tfvid.metrics.statistics import Comparison
from tfvid.report.table import Table, difference, sample, sample_of_models

# Title, unit and digits of each measure.
ABOUT = {
    "blob_count": ("blob count", "", 2),
    "blob_size": ("blob size", "px", 1),
    "centre_distance": ("centre distance", "px", 1),
    "mask_length": ("mask length", "frames", 1),
    "drop_ratio": ("drop ratio", "", 1),
    "drop_difference": ("drop difference", "", 2),
}
ALL = "all classes"


# Tables 1 and 2: classification


SCORES = {
    "top_1": "accuracy",
    "f1": "F1 top-1",
    "f1_top_5": "F1 top-5",
    "reversed_f1": "reversed F1 top-1",
    "reversed_f1_top_5": "reversed F1 top-5",
    "opposite": "reversed, predicted as the opposite",
}


def scores_table(answers: Answers, dataset: str, reverse_labels: dict[int, int] | None) -> Table:
    """Returns table 1: F1 on clips played forwards and backwards, by group and model.

    Args:
      answers: the predictions of all models.
      dataset: name of the dataset, for the values of the paper.
      reverse_labels: for each label, the label of the clip played backwards; None if unknown.
    """
    rows: list[dict[str, Any]] = []
    for group, models in answers.groups.items():
        scores = [answers.scores(model, reverse_labels) for model in models]
        if len(models) > 1:
            rows.append({"model": group, "clips": len(answers.labels)})
            for name in SCORES:
                values = [value for score in scores if (value := score[name]) is not None]
                rows[-1][name] = sample_of_models(values)
        named = zip(models, scores, strict=True) if len(models) > 1 else [(group, scores[0])]
        rows += [{"model": name, "clips": len(answers.labels)} | score for name, score in named]
        paper = published(dataset, group)
        rows += [{"model": f"{group}, published"} | paper] if paper else []
    known = [name for name in SCORES if any(row.get(name) is not None for row in rows)]
    return Table.of(
        "table_1",
        "Table 1: how well the models classify",
        "Macro F1 on the whole split, and on the same clips played backwards. For a group of n models: the mean ± the "
        "standard deviation over the models.",
        [("model", "model"), ("clips", "clips", "", 0), *((name, SCORES[name]) for name in known)],
        rows,
    )


def classes_table(answers: Answers, chosen: Sequence[int], rule: str) -> Table:
    """Returns table 2: F1 of each class, and which classes are compared.

    Args:
      answers: the predictions of all models.
      chosen: labels of the compared classes.
      rule: describes how the classes were chosen.
    """
    class_f1 = answers.class_f1()
    counts = np.bincount(answers.labels, minlength=len(answers.class_names))
    rows = []
    for label in np.flatnonzero(counts).tolist():
        f1 = {group: values[label] for group, values in class_f1.items()}
        rows.append(
            {"class": answers.class_names[label], "clips": int(counts[label])}
            | {f"f1 {group}": value for group, value in f1.items()}
            | {"gap": max(f1.values()) - min(f1.values()), "compared": "yes" if label in chosen else "no"}
        )
    return Table.of(
        "table_2",
        "Table 2: F1 of each class",
        f"F1 is the mean over the models of a group. Compared classes: {rule}.",
        [
            ("class", "class"),
            ("clips", "clips", "", 0),
            *((f"f1 {group}", group) for group in class_f1),
            ("gap", "largest difference"),
            ("compared", "compared"),
        ],
        rows,
    )


# Tables 3 and 4: the six measures


def measures_table(
    id: str, title: str, caption: str, measured: Measured, names: Sequence[str], answers: Answers, dataset: str
) -> Table:
    """Returns a table of measures. Each group has a row for all classes, one for each model and one for each class.

    Args:
      id: of the table.
      title: of the table.
      caption: of the table.
      measured: the measures of all clips.
      names: the measures to list.
      answers: the predictions, for the class names.
      dataset: name of the dataset; the table includes the values of the paper, if it has any.
    """
    papers = {group: published(dataset, group) for group in measured.groups}
    everything = np.ones(len(measured.ids), bool)
    rows = []

    def add(model: str, which: str, chosen: np.ndarray, **more):
        row = {"model": model, "class": which, "clips": int(chosen.sum())}
        for name in names:
            values = measured.values(model, name)[chosen]
            row[name] = sample(values)
            row[f"{name} left out"] = int((~np.isfinite(values)).sum())
        rows.append(row | more)

    for group, models in measured.groups.items():
        add(group, ALL, everything, **{f"{name} published": papers[group].get(name) for name in names})
        if len(models) > 1:
            for model in models:
                add(model, ALL, everything)
        classes = np.unique(measured.labels)
        if len(classes) > 1:
            for label in classes:
                add(group, answers.class_names[label], measured.labels == label)
    columns = [("model", "model"), ("class", "class"), ("clips", "clips", "", 0)]
    for name in names:
        columns.append((name, *ABOUT[name]))
        if any(row[f"{name} left out"] for row in rows):
            columns.append((f"{name} left out", f"{ABOUT[name][0]}: clips left out", "", 0))
        if any(papers.values()):
            columns.append((f"{name} published", f"{ABOUT[name][0]}, published", ABOUT[name][1]))
    return Table.of(id, title, caption, columns, rows)


# Tests and comparisons


def tests_table(tested: dict[tuple[str, str], dict[str, Difference]]) -> Table:
    """Returns the table of all tests.

    Args:
      tested: for each pair of groups, the tests by measure.
    """
    rows = [
        _test_row(name, f"{first} − {second}", tested_measure)
        for (first, second), of_pair in tested.items()
        for name, tested_measure in of_pair.items()
    ]
    columns = TEST_COLUMNS if any(row["note"] for row in rows) else TEST_COLUMNS[:-1]
    return Table.of(
        "tests",
        "Do the groups differ?",
        "All values are over the n clips that have a value for both groups. The difference has a 95 % bootstrap "
        "interval. Welch's t-test, as in the paper, treats the two samples as independent; Wilcoxon's test and the "
        "permutation test are paired. Holm's correction is over the measures of a pair of groups. The last column "
        "counts the pairs of models, one of each group, whose means differ in the same direction as the groups' means.",
        columns,
        rows,
    )


TEST_COLUMNS: list[tuple] = [
    ("measure", "measure"),
    ("pair", "difference of"),
    ("first", "mean of the first", "", 2),
    ("second", "mean of the second", "", 2),
    ("difference", "difference", "", 2),
    ("hedges_g", "Hedges' g", "", 2),
    ("cliffs_delta", "Cliff's delta", "", 2),
    ("t", "Welch's t", "", 2),
    ("welch", "Welch p", "", 4),
    ("welch_holm", "Welch p, Holm", "", 4),
    ("wilcoxon", "Wilcoxon p", "", 4),
    ("permutation", "permutation p", "", 4),
    ("permutation_holm", "permutation p, Holm", "", 4),
    ("agreeing", "pairs of models agreeing"),
    ("note", "note"),  # left out if all are empty
]


def _test_row(name: str, pair: str, tested: Difference) -> dict[str, Any]:
    """Returns the row of one measure and one pair of groups."""
    title, unit, _ = ABOUT[name]
    result = tested.result
    return {
        "measure": title + (f" ({unit})" if unit else ""),
        "pair": pair,
        "first": result.first.mean,
        "second": result.second.mean,
        "difference": difference(result),
        "hedges_g": result.hedges_g,
        "cliffs_delta": result.cliffs_delta,
        "t": result.t,
        "welch": result.welch_p,
        "welch_holm": tested.welch_holm,
        "wilcoxon": result.wilcoxon_p,
        "permutation": result.permutation_p,
        "permutation_holm": tested.permutation_holm,
        "agreeing": f"{tested.agreeing} of {tested.pairs}",
        "note": result.note,
    }


def class_differences_table(measured: Measured, answers: Answers, first: str, second: str) -> Table:
    """Returns the table of the difference in each measure for each class.

    Args:
      measured: the measures of all clips.
      answers: the predictions, for the class names.
      first: name of a group.
      second: name of another group.
    """
    rows = []
    for label in np.unique(measured.labels):
        chosen = measured.labels == label
        row = {"class": answers.class_names[label], "clips": int(chosen.sum())}
        for name in MEASURES:
            a, b = common(measured.values(first, name)[chosen], measured.values(second, name)[chosen])
            row[name] = sample(a - b)
        rows.append(row)
    return Table.of(
        "class_differences",
        f"{first} minus {second}, by class",
        "The mean difference over the clips of a class ± its standard deviation, with its 95 % bootstrap interval. "
        "Exploratory: there is no correction for the number of classes.",
        [("class", "class"), ("clips", "clips", "", 0), *((name, *ABOUT[name]) for name in MEASURES)],
        rows,
    )


def detectors_table(compared: Mapping[tuple[str, str], Comparison], first: str, second: str) -> Table:
    """Returns the table of the blob measures with several settings of the detector.

    Args:
      compared: from `differences.by_detector`.
      first: name of the first group.
      second: name of the second group.
    """
    rows = [
        _sensitivity({"setting": detector, "measure": ABOUT[measure][0]}, result)
        for (detector, measure), result in compared.items()
    ]
    return Table.of(
        "detectors",
        "Sensitivity of the blob measures to the detector",
        "The comparison with other settings of OpenCV's SimpleBlobDetector. The paper does not state its settings.",
        _sensitivity_columns(("setting", "setting"), ("measure", "measure"), first, second),
        rows,
    )


def filters_table(measured: Measured, compared: Mapping[float, Comparison], first: str, second: str) -> Table:
    """Returns the table of the drop ratio with several filters.

    Args:
      measured: the measures of all clips.
      compared: from `differences.by_filter`.
      first: name of the first group.
      second: name of the second group.
    """
    rows = []
    for smallest, result in compared.items():
        ratios = (filtered_ratio(measured, group, smallest) for group in (first, second))
        left_out = [int((~np.isfinite(ratio)).sum()) for ratio in ratios]
        row = {"filter": smallest, "left_first": left_out[0], "left_second": left_out[1]}
        rows.append(_sensitivity(row, result))
    columns = _sensitivity_columns(("filter", "drops larger than", "", 3), None, first, second)
    left = [
        ("left_first", f"{first}: clips left out", "", 0),
        ("left_second", f"{second}: clips left out", "", 0),
    ]
    return Table.of(
        "filters",
        "Sensitivity of the drop ratio to its filter",
        "A clip has no ratio if freezing or reversing lowers its score by no more than the filter. The paper uses "
        "0.001. A ratio of small drops can be very large, so compare the medians, too.",
        [columns[0], *left, *columns[1:]],
        rows,
    )


def _sensitivity(row: dict, result: Comparison) -> dict:
    return row | {
        "first": result.first.mean,
        "first_median": result.first.median,
        "second": result.second.mean,
        "second_median": result.second.median,
        "difference": difference(result),
        "cliffs_delta": result.cliffs_delta,
        "permutation": result.permutation_p,
    }


def _sensitivity_columns(setting: tuple, measure: tuple | None, first: str, second: str) -> list[tuple]:
    return [
        setting,
        *([measure] if measure else []),
        ("first", f"{first}: mean", "", 2),
        ("first_median", f"{first}: median", "", 2),
        ("second", f"{second}: mean", "", 2),
        ("second_median", f"{second}: median", "", 2),
        ("difference", "difference", "", 2),
        ("cliffs_delta", "Cliff's delta", "", 2),
        ("permutation", "permutation p", "", 4),
    ]


# Known events


EVENTS = {
    "temporal_iou": "temporal IoU of the mask",
    "temporal_iou_random": "of a random window",
    "temporal_iou_centred": "of the centred window",
    "pointing": "pointing game of the map",
    "pointing_chance": "by chance",
    "energy": "energy in the boxes",
    "energy_chance": "by chance",
}


def events_table(measured: Measured) -> Table | None:
    """Returns the table of how well masks and maps find the events; None if the dataset has no annotated events."""
    rows = []
    for group, models in measured.groups.items():
        for name in [group, *(models if len(models) > 1 else [])]:
            rows.append({"model": name} | {what: sample(measured.values(name, what)) for what in EVENTS})
    known = [what for what in EVENTS if any(row[what] for row in rows)]
    if not known:
        return None
    return Table.of(
        "events",
        "Do masks and maps find the event?",
        "Temporal IoU of the masked frames with the event, and of a random and the centred window of the same length. "
        "Pointing game: the share of frames whose highest point lies in the box of an object, enlarged by 15 pixels at "
        "a height of 224. Energy: the share of the map inside the boxes.",
        [("model", "model"), *((what, EVENTS[what]) for what in known)],
        rows,
    )


# Methods to find a mask


def methods_table(methods: Mapping[str, list[dict]]) -> Table | None:
    """Returns the table of the methods to find a mask; None without rows.

    Args:
      methods: rows of `tfvid.experiments.study.methods.method_table` by model.
    """
    rows = [{"model": model} | row for model, of_model in methods.items() for row in of_model]
    if not rows:
        return None
    columns = [
        ("model", "model"),
        ("method", "method"),
        ("clips", "clips", "", 0),
        ("loss", "Eq. 1 loss"),
        ("mask_length", "mask length", "frames", 1),
        ("forward_passes", "forward passes", "", 0),
        ("backward_passes", "backward passes", "", 0),
        ("seconds", "time", "s a clip", 2),
    ]
    if any(row["temporal_iou"] for row in rows):
        columns.append(("temporal_iou", "temporal IoU"))
    return Table.of(
        "methods",
        "Methods to find a mask",
        "The paper's gradient descent; the search over all windows; a search followed by a descent; Satkin & Hebert's "
        "crop search, used as a freeze mask; and a random window with the length of the gradient's mask. Loss, length "
        "and IoU: mean ± standard deviation over the clips.",
        columns,
        rows,
    )
