"""The tables of an audit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvid.experiments.audit.confusions import Confusion
from tfvid.experiments.audit.effects import Effect
from tfvid.experiments.audit.interventions import INTERVENTIONS
from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.regions import Profile
from tfvid.experiments.audit.shortcuts import Shortcut
from tfvid.experiments.audit.sources import Source
from tfvid.metrics.classification import confusion, f1
from tfvid.report.table import Table

MOST_SOURCES = 20


def interventions_table(found: Sequence[Effect]) -> Table:
    """Returns the accuracy under each intervention."""
    rows = [
        {
            "intervention": INTERVENTIONS[one.intervention].words,
            "name": one.intervention,
            "top1": _between(one.top1, one.low, one.high),
            "f1": one.f1,
            "score": one.true_score,
            "same": one.same,
            "fall": _between(one.fall, one.fall_low, one.fall_high) if one.p is not None else None,
            "p": one.p,
        }
        for one in found
    ]
    return Table.of(
        "interventions",
        "What the model needs",
        "Each clip is changed in one way, and the model is asked again. Intervals are 95 % bootstrap intervals over "
        "clips; p is McNemar's exact test against the clip as it is, with Holm's correction.",
        [
            ("intervention", "the clip"),
            ("name", "name"),
            ("top1", "top-1", "", 2),
            ("f1", "macro F1", "", 2),
            ("score", "score of the true class", "", 2),
            ("same", "same answer", "", 2),
            ("fall", "fall of top-1", "", 2),
            ("p", "p", "", 3),
        ],
        rows,
    )


def classes_table(answers: Answers, motion: Mapping[int, float | None], profiles: Sequence[Profile]) -> Table:
    """Returns the numbers of each class."""
    of_class = f1(confusion(answers.labels, answers.predicted(), len(answers.class_names)))
    profile = {one.label: one for one in profiles}
    rows = []
    for label in answers.classes:
        own, of = answers.labels == label, profile.get(label)
        row: dict[str, Any] = {
            "class": answers.class_names[label],
            "clips": int(own.sum()),
            "right": float(np.mean(answers.right()[own])),
            "f1": float(of_class[label]),
            "motion": motion.get(label),
        }
        row |= {"explained": of.clips, "typical": of.typical, "odd": of.odd} | of.numbers if of else {}
        rows.append(row)
    return Table.of(
        "classes",
        "The classes",
        "Motion: the share of the class's score that is lost if one frame is repeated. The other numbers are means "
        "over the explained clips: necessary frames; the share of the map at the border (0.44 of a uniform map), in "
        "the central quarter (0.25) and in boxes; and the rank correlation of the map with that of the clip one frame "
        "later, of the clip with noise, and by another seed.",
        [
            ("class", "class"),
            ("clips", "clips", "", 0),
            ("right", "right", "", 2),
            ("f1", "F1", "", 2),
            ("motion", "motion share", "", 2),
            ("explained", "explained", "clips", 0),
            ("mask_length", "necessary", "frames", 1),
            ("border_energy", "at the border", "", 2),
            ("fovea_energy", "in the centre", "", 2),
            ("box_energy", "in boxes", "", 2),
            ("stability_shift", "stable: shift", "", 2),
            ("stability_noise", "noise", "", 2),
            ("stability_seed", "seed", "", 2),
            ("typical", "most typical clip"),
            ("odd", "oddest clip"),
        ],
        rows,
    )


def confusions_table(found: Sequence[Confusion], class_names: Sequence[str]) -> Table | None:
    """Returns the confusions with most clips; None without any."""
    if not found:
        return None
    rows = [
        {
            "label": class_names[one.label],
            "answer": class_names[one.answer],
            "count": one.count,
            "of": one.of,
            "clips": ", ".join(f"{id} ({score:.2f})" for id, score in zip(one.clips, one.scores, strict=True)),
        }
        for one in found
    ]
    return Table.of(
        "confusions",
        "Confusions with most clips",
        "The clips with the highest probability of the wrong answer come first.",
        [
            ("label", "true class"),
            ("answer", "answer"),
            ("count", "clips", "", 0),
            ("of", "of", "", 0),
            ("clips", "clearest clips (probability of the answer)"),
        ],
        rows,
    )


def shortcuts_table(found: Sequence[Shortcut]) -> Table | None:
    """Returns how well each property predicts; None without any."""
    if not found:
        return None
    return Table.of(
        "shortcuts",
        "Properties that should not matter",
        "Balanced accuracy, in five-fold cross-validation, of a table from the property to the class. "
        f"The label predicts the answer with {found[0].label_predicts_answer:.2f}, chance is {found[0].chance:.2f}. "
        "p: whether the property predicts the answer beyond the label (permutations within labels, Holm's correction).",
        [
            ("title", "property"),
            ("clips", "clips", "", 0),
            ("categories", "categories", "", 0),
            ("predicts_answer", "predicts the answer", "", 2),
            ("predicts_label", "predicts the label", "", 2),
            ("p", "p", "", 3),
        ],
        [vars(one) for one in found],
    )


def sources_table(found: Sequence[Source], names: Sequence[str], answers: Answers) -> Table | None:
    """Returns the sources, those that give their class away first, then the largest; None if none has several clips."""
    if not any(source.clips > 1 for source in found):
        return None
    rows = []
    right, of = answers.right(), np.array(names)
    giving = [source for source in found if source.gives_away]
    others = sorted((source for source in found if not source.gives_away), key=lambda source: -source.clips)
    for source in [*giving, *others][:MOST_SOURCES]:
        own = right[of == source.name]
        rows.append(
            {
                "source": source.name,
                "clips": source.clips,
                "classes": ", ".join(f"{name} {count}" for name, count in sorted(source.classes.items())),
                "gives": next(iter(source.classes)) if source.gives_away else "",
                "p": source.p,
                "asked": len(own),
                "top1": float(own.mean()) if len(own) else None,
            }
        )
    return Table.of(
        "sources",
        "Sources",
        "All clips of the data set, in all splits. p: the chance that as many clips drawn at random are all of one "
        f"class (Holm's correction). Those that give the class away come first, at most {MOST_SOURCES} in all.",
        [
            ("source", "source"),
            ("clips", "clips", "", 0),
            ("classes", "classes"),
            ("gives", "gives away"),
            ("p", "p", "", 4),
            ("asked", "asked about", "", 0),
            ("top1", "top-1 on these", "", 2),
        ],
        rows,
    )


def _between(value: float, low: float | None, high: float | None) -> dict:
    """A cell with an interval."""
    return {"mean": value, "std": None, "low": low, "high": high, "n": None}
