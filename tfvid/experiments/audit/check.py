"""Compares two audits and tests conditions, for continuous integration: JUnit XML, and a summary in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tfvid.core.files import replacing
from tfvid.experiments.audit import explanations, predictions, quantities
from tfvid.experiments.audit.conditions import Condition
from tfvid.experiments.audit.explanations import SAMPLE, Explained
from tfvid.experiments.audit.interventions import AS_IS
from tfvid.experiments.audit.quantities import AGAINST_OLD, QUANTITIES
from tfvid.experiments.audit.regions import mean_known
from tfvid.metrics.similarity import rank_correlations
from tfvid.report.markdown import markdown_table, plain
from tfvid.report.numbers import number


@dataclass(frozen=True)
class Outcome:
    """The outcome of one condition.

    Attributes:
      condition: the condition.
      value: of its quantity; None if it is not known, which is a failure, too.
    """

    condition: Condition
    value: float | None

    @property
    def failed(self) -> bool:
        """Whether the condition is met, or its quantity is not known."""
        return self.value is None or self.condition.is_met(self.value)

    @property
    def message(self) -> str:
        """One sentence that says what was found."""
        name = self.condition.name
        if self.value is None:
            return f"{name} is not known for these clips and models, so the condition cannot be tested"
        return (
            f"{name} is {self.value:.4g}, and the check {'fails' if self.failed else 'would fail'} if {self.condition}"
        )


def outcomes(conditions: Sequence[Condition], values: Mapping[str, float | None]) -> list[Outcome]:
    """Returns the outcome of each condition for the quantities `values`."""
    return [Outcome(condition, values.get(condition.name)) for condition in conditions]


def compared(old, new) -> dict[str, float | None]:
    """Returns the quantities of the audit in `new`, and those of `AGAINST_OLD`, by name.

    Args:
      old: the folder of the audit of the old model.
      new: the folder of the audit of the new model.

    Raises:
      DataError: a folder has no audit.
    """
    before, after = quantities.read(old), quantities.read(new)
    found = dict(after["quantities"])
    then, now = before["quantities"]["top1"], found["top1"]
    found["top1_change"] = None if then is None or now is None else now - then
    found["same_answer_as_old"] = _same_answers(_answers(old, before), _answers(new, after))
    pairs = _pairs(_sampled(old, before), _sampled(new, after))
    found["mask_iou_with_old"] = mean_known([mask_iou(a.mask, b.mask) for a, b in pairs])
    found["map_correlation_with_old"] = mean_known([_map_correlation(a, b) for a, b in pairs])
    return found


def mask_iou(first, second) -> float:
    """Returns the intersection over union of two masks `(T,)`, 1 if both are empty; NaN for masks of other lengths."""
    a, b = np.asarray(first) > 0.5, np.asarray(second) > 0.5
    if a.shape != b.shape:
        return float("nan")
    return float(np.sum(a & b) / np.sum(a | b)) if (a | b).any() else 1.0


def _map_correlation(first: Explained, second: Explained) -> float:
    """Spearman's correlation of two maps at low resolution; NaN for maps of other shapes."""
    if first.coarse.shape != second.coarse.shape:
        return float("nan")
    return float(rank_correlations([first.coarse, second.coarse])[0, 1])


def _answers(folder, summary: Mapping) -> dict[str, str]:
    """The name of the class that the model answers, by clip."""
    rows = predictions.store(folder).read(["model", "clip", "intervention", "predicted"]).to_pylist()
    names = summary["class_names"]
    return {row["clip"]: names[row["predicted"]] for row in rows if row["intervention"] == AS_IS}


def _same_answers(old: Mapping[str, str], new: Mapping[str, str]) -> float | None:
    both = old.keys() & new.keys()
    return sum(old[clip] == new[clip] for clip in both) / len(both) if both else None


def _sampled(folder, summary: Mapping) -> dict[tuple[str, str], Explained]:
    """The explanations by clip and name of the class explained."""
    names = summary["class_names"]
    return {(one.clip, names[one.target]): one for one in explanations.read(folder) if one.role == SAMPLE}


def _pairs(old: Mapping, new: Mapping) -> list[tuple[Explained, Explained]]:
    """The explanations of the same class in the same clip by both models."""
    return [(old[key], new[key]) for key in old if key in new]


def write_junit(path, found: Sequence[Outcome], name: str) -> None:
    """Writes the outcomes as JUnit XML, which CI servers show as tests: a test case for each condition.

    Args:
      path: the file.
      found: the outcomes.
      name: of the suite, e.g. the name of the new model.
    """
    failures, errors = (
        sum(one.failed and one.value is not None for one in found),
        sum(one.value is None for one in found),
    )
    counts = {"tests": str(len(found)), "failures": str(failures), "errors": str(errors)}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"tfvid check {name}"} | counts)
    for one in found:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "tfvid.check", "name": f"not {one.condition}"})
        if one.failed:
            kind = "error" if one.value is None else "failure"
            ElementTree.SubElement(case, kind, {"message": one.message}).text = one.message
    ElementTree.indent(root)
    with replacing(path) as temporary:
        temporary.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def markdown(found: Sequence[Outcome], old: str, new: str, before: Mapping, after: Mapping) -> str:
    """Returns a summary for a pull request: the conditions, and the quantities of both models.

    Args:
      found: the outcomes.
      old: the name of the old model.
      new: the name of the new model.
      before: the quantities of the old model.
      after: those of the new model, see `compared`.
    """
    failed = sum(one.failed for one in found)
    lines = [f"## tfvid check: {plain(new)} against {plain(old)}", ""]
    lines += [f"**{failed} of {len(found)} conditions fail.**" if failed else f"All {len(found)} conditions hold.", ""]
    lines += [f"* {'❌' if one.failed else '✅'} {plain(one.message)}" for one in found]
    rows = [
        (f"`{name}`", number(before.get(name), 3), number(after.get(name), 3))
        for name in [*QUANTITIES, *AGAINST_OLD]
        if before.get(name) is not None or after.get(name) is not None
    ]
    return "\n".join([*lines, "", markdown_table(["quantity", plain(old), plain(new)], rows)]) + "\n"


def is_audit(path) -> bool:
    """Returns whether `path` is the folder of a finished audit."""
    return (Path(path) / quantities.FILE).is_file()
