"""The findings of an audit: what a person should know of the model, in words, the most important first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfvid.core.errors import first_of
from tfvid.experiments.audit.effects import Effect
from tfvid.experiments.audit.interventions import AS_IS, INTERVENTIONS, ONE_FRAME
from tfvid.experiments.audit.predictions import Answers
from tfvid.experiments.audit.shortcuts import Shortcut
from tfvid.experiments.audit.sources import Shared, Source
from tfvid.experiments.evaluation import chance_warning
from tfvid.report.finding import Finding

MOST_NAMED = 4  # sources, classes and interventions that an answer names
LITTLE_MOTION, STABLE, CALIBRATED = 0.1, 0.8, 0.1


@dataclass(frozen=True)
class Evidence:
    """What findings are made from.

    Attributes:
      answers: the model's answers.
      effects: of the interventions, by name.
      motion: the motion share by class.
      shortcuts: of the properties.
      sources: of the data set.
      source_of: the source of each clip of `answers`.
      shared: the accuracy on both kinds of sources.
      quantities: by name.
    """

    answers: Answers
    effects: Mapping[str, Effect]
    motion: Mapping[int, float | None]
    shortcuts: Sequence[Shortcut]
    sources: Sequence[Source]
    source_of: Sequence[str]
    shared: Shared | None
    quantities: Mapping[str, float | None]


def all_findings(of: Evidence) -> list[Finding]:
    """Returns the findings that the evidence allows, in order."""
    parts = (right, motion, background, order, sources, shortcut, robust, calibrated, stable)
    return [finding for part in parts if (finding := part(of)) is not None]


def right(of: Evidence) -> Finding:
    """Is the model better than guessing?"""
    effect, names = of.effects[AS_IS], of.answers.class_names
    hits, clips = int(of.answers.right().sum()), effect.clips
    warning = chance_warning(hits, clips, len(names))
    top1 = _interval(effect.top1, effect.low, effect.high)
    answer = f"It is right on {hits} of {clips} clips: top-1 {top1}, F1 {effect.f1:.2f}."
    share = np.bincount(of.answers.labels).max() / clips
    answer += f" The most frequent class alone would give {share:.2f}."
    return Finding("Is the model better than guessing?", answer, None if clips < 20 else warning is None)


def motion(of: Evidence) -> Finding | None:
    """Does the model need motion?"""
    if ONE_FRAME not in of.effects:
        return None
    effect, share = of.effects[ONE_FRAME], of.quantities["motion_share"]
    answer = f"With one frame repeated, {_fall(of, ONE_FRAME)}."
    if share is None:
        return Finding("Does the model need motion?", answer, None)
    answer += f" Motion carries {_percent(share)} of the score of the true class, as the mean over classes"
    known = sorted((value, label) for label, value in of.motion.items() if value is not None)
    if len(known) > 1:
        (low, least), (high, most) = known[0], known[-1]
        names = of.answers.class_names
        answer += f": from {_percent(low)} for {names[least]} to {_percent(high)} for {names[most]}"
    return Finding("Does the model need motion?", f"{answer}.", effect.is_fall and share >= LITTLE_MOTION)


def background(of: Evidence) -> Finding | None:
    """Does the model depend on the background?"""
    if "background_swapped" not in of.effects:
        return None
    effect = of.effects["background_swapped"]
    answer = f"With the background of another class, {_fall(of, 'background_swapped')}."
    if "foreground_removed" in of.effects:
        removed = of.effects["foreground_removed"]
        answer += (
            f" With the foreground removed, top-1 is {removed.top1:.2f}, and {_percent(removed.same)} of the answers "
            "stay the same."
        )
    moving = of.quantities.get("foreground")
    if moving is not None and moving > 0.5:
        answer += (
            f" {_percent(moving)} of the pixels count as foreground, so the camera moves or objects fill the frame: "
            "these numbers say little."
        )
    return Finding("Does the model depend on the background?", answer, effect.is_fall)


def order(of: Evidence) -> Finding | None:
    """Does the model use the order of the frames?"""
    names = [name for name in ("reversed", "shuffled") if name in of.effects]
    if not names:
        return None
    answer = "; ".join(f"{INTERVENTIONS[name].words}: {_fall(of, name)}" for name in names)
    answer = answer[0].upper() + answer[1:]
    return Finding(
        "Does the model use the order of the frames?", f"{answer}.", any(of.effects[n].is_fall for n in names)
    )


def sources(of: Evidence) -> Finding | None:
    """Do sources of the data set give the class away?"""
    if of.shared is None:
        return None
    giving = [source for source in of.sources if source.gives_away]
    named = [f"{source.name} ({source.clips} clips, all {next(iter(source.classes))})" for source in giving]
    asked = sum(name in {source.name for source in giving} for name in of.source_of)
    answer = f"None of the {len(of.sources)} sources has more clips of one class only than chance explains."
    if giving:
        answer = f"{len(giving)} of {len(of.sources)} sources have clips of one class only, beyond chance: "
        answer += f"{first_of(named, MOST_NAMED)}. "
        answer += f"{asked or 'None'} of the clips asked about {'are' if asked > 1 else 'is'} from them"
        answer += "." if asked else "; audit the split that has them to see what the model does there."
    return Finding("Do sources give the class away?", f"{answer} {_shared(of.shared)}", bool(giving))


def _shared(shared: Shared) -> str:
    if shared.top1_shared is None:
        return "No clip asked about is from a source of several classes."
    text = f"Top-1 is {shared.top1_shared:.2f} on the {shared.clips_shared} clips of sources with several classes"
    if shared.top1_single is None or shared.fall is None:
        return f"{text}; all clips asked about are of such sources."
    text += f" and {shared.top1_single:.2f} on the {shared.clips_single} clips of sources with one class"
    fall = _interval(shared.fall, shared.low, shared.high)
    return f"{text}; where the source cannot tell the class, it falls by {fall}."


def shortcut(of: Evidence) -> Finding | None:
    """Does a property that should not matter predict the model's answer?"""
    question = "Does a property that should not matter predict the answer better than the label?"
    if not of.shortcuts:
        return Finding(question, "The clips or the answers are of one class only.", None)
    best, used = of.shortcuts[0], [one for one in of.shortcuts if one.is_used]
    answer = (
        f"Best is the {best.title}: it predicts the answer with a balanced accuracy of {best.predicts_answer:.2f}; the "
        f"label does with {best.label_predicts_answer:.2f}, chance is {best.chance:.2f}."
    )
    listed = first_of([f"{one.title} (p = {one.p:.3f})" for one in used], MOST_NAMED)
    answer += (
        f" Beyond what the label explains, the answer depends on: {listed}."
        if used
        else (" No property predicts the answer beyond what the label explains.")
    )
    return Finding(question, answer, any(one.beats_label and one.is_used for one in of.shortcuts))


def robust(of: Evidence) -> Finding | None:
    """Do small changes of speed, start, colour and sharpness leave the answers as they are?"""
    names = [
        n for n in ("shifted", "half_speed", "double_speed", "grey", "blurred", "frozen_middle") if n in of.effects
    ]
    if not names:
        return None
    lost = [name for name in names if of.effects[name].is_fall]
    same = ", ".join(f"{_percent(of.effects[name].same)} {INTERVENTIONS[name].words}" for name in names)
    answer = f"The share of answers that stay the same: {same}."
    answer += f" Top-1 falls when {' and when '.join(INTERVENTIONS[name].words for name in lost)}." if lost else ""
    question = "Does top-1 survive small changes of speed, start, colour and sharpness?"
    return Finding(question, answer, not lost)


def calibrated(of: Evidence) -> Finding | None:
    """Are the probabilities calibrated?"""
    error = of.quantities["ece"]
    if error is None:
        return None
    confidence = float(of.answers.probabilities[AS_IS].max(axis=1).mean())
    answer = (
        f"The expected calibration error is {error:.2f}: the mean confidence is {confidence:.2f}, the accuracy "
        f"{of.effects[AS_IS].top1:.2f}."
    )
    return Finding(
        "Are the probabilities calibrated?", answer, error <= CALIBRATED if len(of.answers.ids) >= 20 else None
    )


def stable(of: Evidence) -> Finding | None:
    """Are the explanations stable?"""
    words = {"shift": "of the clip one frame later", "noise": "of the clip with noise", "seed": "by another seed"}
    found = {what: of.quantities.get(f"stability_{name}") for name, what in words.items()}
    known = {what: value for what, value in found.items() if value is not None}
    if not known:
        return None
    answer = "Rank correlation with the map " + ", ".join(f"{what} {value:.2f}" for what, value in known.items())
    return Finding("Are the explanations stable?", f"{answer}.", min(known.values()) >= STABLE)


def _fall(of: Evidence, name: str) -> str:
    """Returns words such as "top-1 falls from 0.74 to 0.50 (by 0.24 [0.10, 0.38]; p = 0.003)"."""
    effect, before = of.effects[name], of.effects[AS_IS].top1
    p = "" if effect.p is None else f"; p {'< 0.001' if effect.p < 0.001 else f'= {effect.p:.3f}'}"
    if not effect.is_fall:
        return f"top-1 is {effect.top1:.2f}, not significantly below {before:.2f}{p}"
    fall = _interval(effect.fall, effect.fall_low, effect.fall_high)
    return f"top-1 falls from {before:.2f} to {effect.top1:.2f} (by {fall}{p})"


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
