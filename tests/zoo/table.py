"""Writes the table of models and methods into docs/models.md: ``PYTHONPATH=.:tests python tests/zoo/table.py [MODEL ...]``.

One method of each way to explain is tried on one clip of random pixels. What was found stays in table.json, so that models of different
packages may be tried in different environments, also at the same time. A model whose package is missing keeps what was
found before. ``--write`` alone writes the table from table.json.
"""
# ruff: noqa: E501

import fcntl
import json
import sys
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pytest
from zoo.architectures import MODELS, clips_of
from zoo.packages import FOREIGN, KERAS, SHAPE

import tfvid

PAGE, FOUND = Path(__file__).parents[2] / "docs" / "models.md", Path(__file__).with_name("table.json")
START, END = "<!-- zoo: written by tests/zoo/table.py -->", "<!-- zoo: end -->"
KNOWN = (*MODELS, *KERAS, *FOREIGN)
# The methods that are tried, one of each way to explain, and those that need the same of a model.
WAYS = {
    "temporal_mask": ("meaningful_perturbation", "extremal_perturbation", "extremal_perturbation_3d", "step"),
    "occlusion": ("rise", "lime", "shapley", "kernel_shap", "crop_search"),
    "gradient": (
        *("gradient_x_input", "smooth_grad", "smooth_grad_squared", "var_grad", "integrated_gradients", "blur_ig"),
    ),
    "guided_backprop": ("deconv",),
    "grad_cam": ("grad_cam_plus_plus", "layer_cam", "score_cam"),
    "saliency_tubes": (),
    "class_feature_pyramids": (),
    "excitation_backprop": ("contrastive_excitation_backprop",),
    "lrp": (),
    "deep_lift": ("deep_shap",),
    "attention_rollout": ("attention_maps",),
    "attention_relevance": (),
}
# The distributions that build a model, by the start of its name. All other models are built by Keras alone.
BUILT_BY = {
    "k3im": ("k3im",),
    "keras_cv": ("keras-cv",),
    "keras_hub": ("keras-hub",),
    "resnet18_3d": ("classification-models-3D",),
    "torchvision": ("torch", "torchvision"),
    "movinet": ("tf-models-official", "tf_keras"),
}


def built_by(name: str) -> list[str]:
    """The packages that build a model, each with its version here: what tfvid needs anyway comes first."""
    own = next((packages for start, packages in BUILT_BY.items() if name.startswith(start)), ())
    return [f"{package} {version(package)}" for package in ("tensorflow", "keras", *own)]


def tried(name: str) -> dict[str, str]:
    """Why each method refuses the model, one line; "" if it applies."""
    keras.utils.set_random_seed(0)
    if name in MODELS:
        case = MODELS[name]()
        model, clips = case.described(), clips_of(case, 1)
    else:
        model, clips = (KERAS | FOREIGN)[name](), np.random.default_rng(0).random((1, *SHAPE), np.float32)
    return {row.name: row.reason for row in tfvid.methods(model, clips, measure=False, names=list(WAYS))}


def table(found: dict) -> str:
    """The table in Markdown, the reasons, what is like what, and what each model was tried with."""
    names = [name for name in KNOWN if name in found]
    answers = {name: [found[name]["methods"].get(way) for way in WAYS] for name in names}
    reasons = list(
        dict.fromkeys(reason for column in zip(*answers.values(), strict=True) for reason in column if reason)
    )
    lines = [f"| model | {' | '.join(WAYS)} |", "|---" * (len(WAYS) + 1) + "|"]
    for name in names:
        lines.append(f"| {name} | {' | '.join(cell(reason, reasons) for reason in answers[name])} |")
    lines += ["", *(f"{i}. {reason}" for i, reason in enumerate(reasons, 1)), ""]
    lines += ["| tried | needs the same of a model |", "|---|---|"]
    lines += [f"| {way} | {', '.join(others)} |" for way, others in WAYS.items() if others]
    return "\n".join([*lines, "", *environments(found, names)])


def cell(reason: str | None, reasons: list[str]) -> str:
    """What the table says of a method: why it does not apply, "" if it does, None if it was not tried."""
    if reason is None:
        return "not tried"
    return f"no ({reasons.index(reason) + 1})" if reason else "yes"


def environments(found: dict, names: list[str]) -> list[str]:
    """A table of the packages that each model was tried with."""
    rows: dict[str, list[str]] = {}
    for name in names:
        rows.setdefault(", ".join(found[name]["packages"]), []).append(name)
    return [
        "| tried with | models |",
        "|---|---|",
        *(f"| {packages} | {', '.join(rows[packages])} |" for packages in rows),
    ]


def write(name: str | None = None, entry: dict | None = None):
    """Adds an entry to table.json and writes the page; other processes wait meanwhile."""
    with FOUND.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = json.load(file) | ({name: entry} if name else {})
        found = {one: found[one] for one in KNOWN if one in found}
        file.seek(0)
        file.write(json.dumps(found, indent=1) + "\n")
        file.truncate()
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        page = f"{before}{START}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}"
        PAGE.write_text(page, encoding="utf-8")


def main(names: list[str]):
    for name in names or KNOWN:
        try:
            entry = {"packages": built_by(name), "methods": tried(name)}
        except pytest.skip.Exception as missing:
            print(f"{name}: {missing}", flush=True)
            continue
        refused = {method: reason for method, reason in entry["methods"].items() if reason}
        print(f"{name}: {len(entry['methods'])} methods, not {refused}", flush=True)
        write(name, entry)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        main(sys.argv[1:])
