"""One result with small, fixed values, for tests of what stores and shows results."""

import dataclasses

import numpy as np

from tfvid.results.result_store import Result


def make(id="a", model="i3d", **changes) -> Result:
    """A result of clip `id` and `model`; `changes` are other values of its fields."""
    record = Result(
        id=id,
        model=model,
        path="",
        label=1,
        label_name="left",
        predicted=0,
        predicted_name="right",
        target=0,
        target_name="right",
        perturbation="freeze",
        original_score=0.75,
        freeze_score=0.25,
        reverse_score=0.5,
        true_score=0.125,
        mask=np.array([0, 0.25, 1, 0], np.float32),
        mask_length=1,
        loss=0.5,
        length_term=0.125,
        variation_term=0.125,
        score_term=0.25,
        iterations=3,
        full_drop=0.5,
        map=np.arange(12, dtype=np.float32).reshape(2, 2, 3),
        size=(16, 24),
        settings='{"mask.iterations": 3}',
    )
    return dataclasses.replace(record, **changes)
