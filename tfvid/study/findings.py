"""The paper's conclusions as questions to a study, each answered yes, no or undecided, with its numbers.

Mänttäri et al., ACCV 2020, section 5: the 3-D network needs fewer frames than the C-LSTM; its focus is fewer, larger
and more central blobs; freezing costs it more, against reversing. A study's first two groups take their places.
"""

from collections.abc import Sequence

from tfvid.metrics.statistics import comparison
from tfvid.study.differences import Difference, common
from tfvid.study.tables import ABOUT, Measured

LEVEL = 0.05
# Measure, the sign that the paper found of the first group less the second, and the question.
PAPER = (
    ("mask_length", -1, "Are the masks of {0} shorter than those of {1}?"),
    ("blob_count", -1, "Does {0} look at fewer places than {1}?"),
    ("blob_size", 1, "Are the places {0} looks at larger than those of {1}?"),
    ("centre_distance", -1, "Are they nearer to the middle of the frame for {0} than for {1}?"),
    ("drop_difference", 1, "Does freezing cost {0} more, against reversing, than it costs {1}?"),
)
EVENTS = (
    ("temporal_iou", "Do the masks of {0} find the events better than those of {1}?", "temporal IoU"),
    ("pointing", "Do the maps of {0} point at the objects more often than those of {1}?", "pointing game"),
)


def findings(measured: Measured, tested: dict[str, Difference], first: str, second: str, seed: int = 0) -> list[dict]:
    """The answers: ``question``, ``answer`` and ``holds``, True, False or None.

    A finding holds, or does not, where the paired permutation test with Holm's correction says so at 5 %; else it is
    undecided.

    Args:
      measured: of all clips.
      tested: by measure, from `differences`.
      first: name of a group; in the paper the 3-D network.
      second: in the paper the C-LSTM.
      seed: of the resampling.
    """
    answers = []
    for measure, sign, question in PAPER:
        difference = tested[measure]
        name, unit, digits = ABOUT[measure]
        holds = verdict(difference.result.difference, difference.permutation_holm, sign)
        answer = _sentence(name, unit, digits, difference.result, difference.permutation_holm, first, second)
        if difference.pairs > 1:
            answer += f" {difference.agreeing} of {difference.pairs} pairs of single models differ in this direction."
        answers.append({"question": question.format(first, second), "answer": answer, "holds": holds})
    for measure, question, name in EVENTS:
        a, b = common(measured.values(first, measure), measured.values(second, measure))
        if not len(a):
            continue
        result = comparison(a, b, seed=seed)
        answer = _sentence(name, "", 2, result, result.permutation_p, first, second)
        holds = verdict(result.difference, result.permutation_p, 1)
        answers.append({"question": question.format(first, second), "answer": answer, "holds": holds})
    return answers


def verdict(difference: float | None, p: float | None, sign: int) -> bool | None:
    """Whether a difference has the sign, True or False where p is below `LEVEL`; None where it is not."""
    if difference is None or p is None or p >= LEVEL or difference == 0:
        return None
    return (difference > 0) == (sign > 0)


def summary(findings: Sequence[dict]) -> str:
    """One line: "3 hold, 1 does not, 1 undecided"."""
    count = [sum(finding["holds"] is state for finding in findings) for state in (True, False, None)]
    return f"{count[0]} hold, {count[1]} do not, {count[2]} undecided"


def _sentence(name: str, unit: str, digits: int, result, p: float | None, first: str, second: str) -> str:
    if result.difference is None:
        return f"No clip has a {name} in both groups."
    digits += 1  # means of many clips say more than a single value
    unit = f" {unit}" if unit else ""
    text = (
        f"{name[0].upper()}{name[1:]}: {first} {_number(result.first.mean, digits)}, "
        f"{second} {_number(result.second.mean, digits)}{unit}; difference {_number(result.difference, digits)}"
    )
    if result.low is not None:
        text += f" [{_number(result.low, digits)}, {_number(result.high, digits)}]"
    text += f" over {result.first.n} clip{'s' if result.first.n > 1 else ''}"
    if p is None:
        return f"{text}; no test: {result.note}."
    text += f"; p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    if result.hedges_g is not None:
        text += f", Hedges' g {_number(result.hedges_g, 2)}"
    return text + "."


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")
