"""The findings of a study: the paper's conclusions as questions, answered with yes, no or undecided and the numbers.

Mänttäri et al., ACCV 2020, section 5: the 3-D network needs fewer frames than the C-LSTM; its focus is fewer, larger
and more central blobs; freezing lowers its score more than reversing. The first group of a study has the role of the
3-D network, the second group that of the C-LSTM.
"""

from collections.abc import Mapping, Sequence

from tfvid.experiments.study.differences import Difference, common
from tfvid.experiments.study.tables import ABOUT, Measured
from tfvid.metrics.statistics import Comparison, comparison
from tfvid.report.finding import WORDS, Finding
from tfvid.report.numbers import number

LEVEL = 0.05
# The measure, the sign of the difference (first minus second group) in the paper, and the question.
PAPER = (
    ("mask_length", -1, "Are the masks of {0} shorter than those of {1}?"),
    ("blob_count", -1, "Do the maps of {0} have fewer blobs than those of {1}?"),
    ("blob_size", 1, "Are the blobs of {0} larger than those of {1}?"),
    ("centre_distance", -1, "Are the blobs of {0} closer to the centre of the frame than those of {1}?"),
    ("drop_ratio", 1, "Is the ratio of the drops by freezing and by reversing larger for {0} than for {1}?"),
    ("drop_difference", 1, "Is the difference of reverse and freeze score (RS − FS) larger for {0} than for {1}?"),
)
BLOBS = slice(1, 4)
FOCUS = "Are the blobs of {0} fewer, larger and more central than those of {1}?"
EVENTS = (
    ("temporal_iou", "Do the masks of {0} find the events better than those of {1}?", "temporal IoU"),
    ("pointing", "Do the maps of {0} point at the objects more often than those of {1}?", "pointing game"),
)


def findings(
    measured: Measured,
    tested: Mapping[str, Difference],
    variants: Mapping[str, Sequence[Comparison]],
    first: str,
    second: str,
    seed: int = 0,
) -> list[Finding]:
    """Returns a finding for each conclusion of the paper, and up to two about known events.

    A finding is decided if the paired permutation test with Holm's correction is significant at 5 %, and undecided
    otherwise. The two findings about events are tested without correction. The second finding combines the three
    about blobs.

    Args:
      measured: the measures of all clips.
      tested: the tests by measure, from `differences`.
      variants: by measure, the comparisons with several settings; the first is the reported one.
      first: name of the first group, in the role of the paper's 3-D network.
      second: name of the second group, in the role of the paper's C-LSTM.
      seed: of the bootstrap and the permutations.
    """
    answers = [
        _finding(
            question.format(first, second), measure, sign, tested[measure], variants.get(measure, ()), first, second
        )
        for measure, sign, question in PAPER
    ]
    parts = [answer.holds for answer in answers[BLOBS]]
    words = zip(("fewer", "larger", "more central"), parts, strict=True)
    answers.insert(
        1,
        Finding(
            FOCUS.format(first, second),
            "; ".join(f"{name}: {WORDS[holds]}" for name, holds in words).capitalize() + ".",
            False if False in parts else None if None in parts else True,
        ),
    )
    for measure, question, name in EVENTS:
        a, b = common(measured.values(first, measure), measured.values(second, measure))
        if not len(a):
            continue
        result = comparison(a, b, seed=seed)
        answer = _sentence(name, "", 2, result, result.permutation_p, first, second)
        holds = verdict(result.difference, result.permutation_p, 1)
        answers.append(Finding(question.format(first, second), answer, holds))
    return answers


def _finding(
    question: str,
    measure: str,
    sign: int,
    difference: Difference,
    variants: Sequence[Comparison],
    first: str,
    second: str,
) -> Finding:
    answer = _sentence(*ABOUT[measure], difference.result, difference.permutation_holm, first, second)
    if difference.pairs > 1:
        answer += f" {difference.agreeing} of {difference.pairs} pairs of single models differ in this direction."
    if variants:
        verdicts = [verdict(result.difference, result.permutation_p, sign) for result in variants]
        same, what = verdicts.count(verdicts[0]), "filter" if measure == "drop_ratio" else "blob detector"
        answer += f" {same} of {len(variants)} settings of the {what} give the same result (before Holm's correction)."
    return Finding(question, answer, verdict(difference.result.difference, difference.permutation_holm, sign))


def verdict(difference: float | None, p: float | None, sign: int) -> bool | None:
    """Returns whether a significant difference has the sign `sign`; None if p is not below `LEVEL`.

    Args:
      difference: of the means; None if unknown.
      p: p-value of the test; None if there is no test.
      sign: 1 or -1.
    """
    if difference is None or p is None or p >= LEVEL or difference == 0:
        return None
    return (difference > 0) == (sign > 0)


def _sentence(name: str, unit: str, digits: int, result: Comparison, p: float | None, first: str, second: str) -> str:
    if result.difference is None:
        return f"No clip has a {name} in both groups."
    digits += 1  # a mean over many clips has more significant digits than a single value
    unit = f" {unit}" if unit else ""
    text = (
        f"{name[0].upper()}{name[1:]}: {first} {number(result.first.mean, digits)}, "
        f"{second} {number(result.second.mean, digits)}{unit}; difference {number(result.difference, digits)}"
    )
    if result.low is not None:
        text += f" [{number(result.low, digits)}, {number(result.high, digits)}]"
    text += f" over {result.first.n} clip{'s' if result.first.n > 1 else ''}"
    if p is None:
        return f"{text}; no test: {result.note}."
    text += f"; p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    if result.hedges_g is not None:
        text += f", Hedges' g {number(result.hedges_g, 2)}"
    return text + "."
