"""Writes the table of models and methods into docs/models.md: ``PYTHONPATH=.:tests python tests/zoo/table.py [MODEL ...]``.

Each method is tried on one clip of random pixels. What was found stays in table.json, so that models of different
packages may be tried in different environments. A model whose package is missing keeps what was found before.
"""
# ruff: noqa: E501

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
# Methods that need more of a model than its scores, one of each way to explain.
METHODS = (
    *("gradient", "guided_backprop", "grad_cam", "excitation_backprop", "lrp", "deep_lift"),
    *("attention_rollout", "attention_relevance"),
)


def tried(name: str) -> dict[str, str]:
    """Why each method refuses the model, one line; "" if it applies."""
    keras.utils.set_random_seed(0)
    if name in MODELS:
        case = MODELS[name]()
        model, clips = case.described(), clips_of(case, 1)
    else:
        model, clips = (KERAS | FOREIGN)[name](), np.random.default_rng(0).random((1, *SHAPE), np.float32)
    return {row.name: row.reason for row in tfvid.methods(model, clips, measure=False, names=METHODS)}


def table(found: dict[str, dict[str, str]]) -> str:
    """The table and the reasons below it, in Markdown. A number stands for a reason."""
    reasons: list[str] = []
    lines = [f"| model | {' | '.join(METHODS)} |", "|---" * (len(METHODS) + 1) + "|"]
    for model, answers in found.items():
        for reason in answers.values():
            if reason and reason not in reasons:
                reasons.append(reason)
        cells = [f"no ({reasons.index(answers[name]) + 1})" if answers[name] else "yes" for name in METHODS]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{i}. {reason}" for i, reason in enumerate(reasons, 1))])


def main(names: list[str]):
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    known = [*MODELS, *KERAS, *FOREIGN]
    for name in names or known:
        try:
            found[name] = tried(name)
        except pytest.skip.Exception as missing:
            print(f"{name}: {missing}", flush=True)
            continue
        print(name, found[name], flush=True)
        found = {one: found[one] for one in known if one in found}
        FOUND.write_text(json.dumps(found, indent=1) + "\n")
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        page = f"{before}{START}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}"
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    print(f"TensorFlow {version('tensorflow')}, Keras {version('keras')}")
    main(sys.argv[1:])
