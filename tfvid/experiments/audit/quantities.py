"""The numbers of an audit by name: what ``audit.json`` holds and what the conditions of ``tfvid check`` test.

A number that is not known is None, e.g. the energy in boxes of a data set without boxes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfvid.core.errors import DataError
from tfvid.core.files import replacing
from tfvid.experiments.audit.effects import Effect
from tfvid.experiments.audit.explanations import Explained
from tfvid.experiments.audit.interventions import AS_IS, INTERVENTIONS
from tfvid.experiments.audit.regions import NUMBERS, mean_known
from tfvid.experiments.audit.shortcuts import Shortcut
from tfvid.experiments.audit.sources import Shared
from tfvid.report.numbers import finite

FILE, VERSION = "audit.json", 1

# What each quantity is, by name. Those of one model:
QUANTITIES = {
    "clips": "number of clips that the model was asked about",
    "top1": "accuracy",
    "f1": "macro F1",
    "ece": "expected calibration error of the probabilities, 15 bins",
    **{f"top1_{name}": f"accuracy: {one.words}" for name, one in INTERVENTIONS.items() if name != AS_IS},
    "motion_share": "share of the class's score that is lost if one frame is repeated, the mean over classes",
    "lowest_motion_share": "the same for the class with the lowest share",
    "top1_shared_sources": "accuracy on sources that have clips of several classes",
    "top1_single_sources": "accuracy on sources that have clips of one class",
    "shortcut": "balanced accuracy of the model's answer by the best property that should not matter",
    "shortcut_excess": "`shortcut` minus the balanced accuracy of the model's answer by the label",
    "foreground": "share of the pixels that count as foreground, the mean over clips",
    "explained": "number of explained clips",
    "mask_trusted": "share of explained clips whose mask is trusted: freezing all frames takes a tenth of the score",
    "mask_length": "necessary frames, the mean over clips with a trusted mask",
    "border_energy": "share of the map in the outer eighth of the frame at each side; 0.4375 of a uniform map",
    "fovea_energy": "share of the map in the middle half of height and width; 0.25 of a uniform map",
    "box_energy": "share of the map in the boxes, for data sets with boxes",
    "stability_shift": "rank correlation of the map with that of the clip one frame later",
    "stability_noise": "rank correlation of the map with that of the clip with noise of standard deviation 0.02",
    "stability_seed": "rank correlation of the map with that by another seed of the method, if it has seeds",
}
# Those of a new model against an old one.
AGAINST_OLD = {
    "top1_change": "accuracy of the new model minus that of the old one",
    "same_answer_as_old": "share of clips to which both models give the same answer",
    "mask_iou_with_old": "intersection over union of the necessary frames of both models, the mean over clips",
    "map_correlation_with_old": "rank correlation of the maps of both models, the mean over clips",
}


def of_effects(found: Sequence[Effect]) -> dict[str, float | None]:
    """Returns the accuracies under all interventions, by the names of `QUANTITIES`."""
    values: dict[str, float | None] = {f"top1_{name}": None for name in INTERVENTIONS if name != AS_IS}
    for effect in found:
        values["top1" if effect.intervention == AS_IS else f"top1_{effect.intervention}"] = effect.top1
    return values


def of_motion(shares: Mapping[int, float | None]) -> dict[str, float | None]:
    """Returns the mean and the lowest share of the classes."""
    known = [share for share in shares.values() if share is not None]
    return {
        "motion_share": sum(known) / len(known) if known else None,
        "lowest_motion_share": min(known) if known else None,
    }


def of_shortcuts(found: Sequence[Shortcut], shared: Shared | None) -> dict[str, float | None]:
    """Returns the best predictor, and the accuracy on both kinds of sources."""
    return {
        "top1_shared_sources": shared.top1_shared if shared else None,
        "top1_single_sources": shared.top1_single if shared else None,
        "shortcut": found[0].predicts_answer if found else None,
        "shortcut_excess": found[0].predicts_answer - found[0].label_predicts_answer if found else None,
    }


def of_explanations(explained: Sequence[Explained]) -> dict[str, float | None]:
    """Returns the means over explained clips of the role "sample"."""
    trusted = [one for one in explained if one.trusted]
    values: dict[str, float | None] = {
        quantity: mean_known([getattr(one, name) for one in (trusted if name == "mask_length" else explained)])
        for name, quantity in NUMBERS.items()
    }
    share = len(trusted) / len(explained) if explained else None
    return {"explained": len(explained), "mask_trusted": share} | values


def write(folder, summary: Mapping) -> Path:
    """Writes ``audit.json``.

    Args:
      folder: of the audit.
      summary: ``model``, ``class_names``, ``dataset``, ``quantities``, ``classes`` and ``findings``.
    """
    quantities = {name: finite(summary["quantities"].get(name)) for name in QUANTITIES}
    path = Path(folder) / FILE
    text = json.dumps({"version": VERSION} | dict(summary) | {"quantities": quantities}, ensure_ascii=False, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def read(folder) -> dict:
    """Reads ``audit.json``.

    Raises:
      DataError: there is none, or it has another version.
    """
    path = Path(folder) / FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        version = summary["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: no audit here ({error}); expected the folder of a finished tfvid audit") from error
    if version != VERSION:
        raise DataError(f"{path}: expected an audit of version {VERSION}, got {version!r}")
    return summary
