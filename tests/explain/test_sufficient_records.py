"""Masks of the frames that suffice in records, in the console's lines, on the page, and from the command line."""

import numpy as np
import pytest
from test_sufficient_mask import CHANGING, bits, motion_model

from tfvid.cli.explain_options import parse
from tfvid.core.errors import ConfigError
from tfvid.experiments.clip_explainers import ClipExplainers
from tfvid.experiments.explanation_records import explained
from tfvid.experiments.explanation_summary import summary
from tfvid.report.clips import suffices
from tfvid.results.result_store import ResultStore, read_results

BATCH = {"id": np.array(["waving"]), "clip": CHANGING, "label": np.array([0]), "event": np.array([[4, 8]])}


def recorded(tmp_path, objective):
    """The record of one clip, written and read; the model needs the motion of frames 3 to 6."""
    mask = {"method": "search", "variation_weight": 1e-4, "objective": objective}
    explainers = ClipExplainers(motion_model((3, 4, 5)), mask=mask, methods={"gradient": {}})
    found = explained(BATCH, explainers, "toy", ("waving", "rest"), {})
    store = ResultStore(tmp_path)
    store.append(found.records)
    store.merge()
    return read_results(tmp_path)[0], found


def test_both_masks_are_recorded(tmp_path):
    record, _ = recorded(tmp_path, "both")
    assert record.objective == "both" and bits(record.sufficient) == "00011110" and record.sufficient_length == 4
    assert record.reached and record.kept_score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert record.sufficient_iou == pytest.approx(3 / 5)  # frames 4 to 6 of 3 to 7
    assert bits(record.mask) != bits(record.sufficient) and record.perturbation == "freeze"
    assert suffices(record) == (
        "Frames that suffice: 4, 5, 6, 7 of 8. If only these move, the score is 0.88 (of 0.88)."
    )
    lines = "\n".join(summary(tmp_path))
    assert "frames that suffice 4.0 ± 0.0 (KS 0.88, share kept in 1 of 1 clips, temporal IoU 0.60)" in lines
    assert "4 of 8 frames suffice: 0.88 if only these move" in lines


def test_a_sufficient_mask_alone_is_the_mask(tmp_path):
    record, found = recorded(tmp_path, "sufficient")
    assert record.objective == "sufficient" and record.perturbation == "hold"
    np.testing.assert_array_equal(record.mask, record.sufficient)
    values = found.perturbed[0, :, 0, 0, 0]
    np.testing.assert_array_equal(values, CHANGING[0, [3, 3, 3, 3, 4, 5, 6, 6], 0, 0, 0])


def test_without_the_objective_nothing_is_said(tmp_path):
    record, _ = recorded(tmp_path, "necessary")
    assert record.objective == "necessary" and not len(record.sufficient) and np.isnan(record.kept_score)
    assert suffices(record) == "" and "suffice" not in "\n".join(summary(tmp_path))


def test_the_option_of_the_command():
    def mask(*options):
        return parse(["--dataset", "shapes", *options])[1].explain.mask

    assert mask() == {"method": "search+gradient"}
    assert mask("--objective", "both") == {"method": "search", "objective": "both"}
    assert mask("mask.objective=sufficient") == {"method": "search", "objective": "sufficient"}
    assert mask("--objective", "both", "mask.method=gradient")["method"] == "gradient"
    with pytest.raises(ConfigError, match="--objective both and mask.objective=necessary differ"):
        mask("--objective", "both", "mask.objective=necessary")
