"""Classification measures against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvid.core.errors import DataError
from tfvid.metrics.classification import confusion, f1, in_top_k, macro_f1, scores
from tfvid.report.figures import confusion_matrix

# Seven clips of three classes, and a fourth class that has no clip but is predicted once.
LABELS = np.array([0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 1, 1, 3, 0, 0])


def test_confusion_rows_are_true_classes():
    expected = [[2, 1, 0, 0], [0, 1, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(confusion(LABELS, PREDICTED, 4), expected)


def test_f1_by_hand():
    # class 0: TP 2, FP 2, FN 1 -> 4/7.  1: TP 1, FP 1, FN 1 -> 1/2.  2: TP 0 -> 0.  3: no clip, FP 1 -> 0.
    np.testing.assert_allclose(f1(confusion(LABELS, PREDICTED, 4)), [4 / 7, 1 / 2, 0, 0])


def test_macro_f1_leaves_out_classes_without_clips():
    assert macro_f1(confusion(LABELS, PREDICTED, 4)) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert macro_f1(confusion(LABELS, PREDICTED, 9)) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_a_class_that_never_occurs_has_f1_0_and_not_nan():
    values = f1(confusion([0], [0], 3))
    np.testing.assert_array_equal(values, [1, 0, 0])
    assert macro_f1(np.zeros((3, 3), int)) == 0


def test_in_top_k_and_its_ties():
    logits = np.array([[0.1, 0.9, 0.5], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])
    labels = np.array([2, 1, 2])
    np.testing.assert_array_equal(in_top_k(logits, labels, 1), [False, False, False])
    np.testing.assert_array_equal(in_top_k(logits, labels, 2), [True, True, False])  # equal: the lower class first
    np.testing.assert_array_equal(in_top_k(logits, labels, 5), [True, True, True])


def test_scores_by_hand():
    """Seven classes, so that top-5 can miss: logits fall with the distance from the predicted class."""
    labels, predicted = np.array([0, 1, 6, 6]), np.array([0, 2, 0, 6])
    logits = -np.abs(np.arange(7) - predicted[:, None]).astype(np.float32)
    result = scores(logits, labels)
    assert result["top_1"] == 2 / 4
    assert result["top_5"] == 3 / 4  # the third clip's class is last
    # class 0: TP 1, FP 1 -> 2/3.  1: FN 1 -> 0.  6: TP 1, FN 1 -> 2/3.
    assert result["f1"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    # within five, clip 2 counts as right: class 1 -> 1.
    assert result["f1_top_5"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(label):
    with pytest.raises(DataError, match=f"label {label} is not one of the 3 classes"):
        in_top_k(np.zeros((1, 3)), [label], 1)
    with pytest.raises(DataError, match=f"label {label}"):
        confusion([label], [0], 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(1, 40), st.integers(0, 2**31))
def test_measures_agree_with_one_another(num_classes, clips, seed):
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(num_classes, size=clips), rng.normal(size=(clips, num_classes))
    matrix, result = confusion(labels, logits.argmax(1), num_classes), scores(logits, labels)
    assert matrix.sum() == clips
    assert result["top_1"] == pytest.approx(np.trace(matrix) / clips)
    assert 0 <= result["top_1"] <= result["top_5"] <= 1
    assert np.isfinite(f1(matrix)).all() and np.all((f1(matrix) >= 0) & (f1(matrix) <= 1))
    assert (macro_f1(matrix) == 1) == (result["top_1"] == 1)


@pytest.mark.parametrize(("num_classes", "clips"), [(3, 20), (101, 3000), (6, 1)])
def test_measures_are_those_of_scikit_learn(num_classes, clips):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(num_classes, size=clips), rng.normal(size=(clips, num_classes))
    predicted, classes = logits.argmax(1), range(num_classes)
    matrix = confusion(labels, predicted, num_classes)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(labels, predicted, labels=classes))
    options = {"zero_division": 0}
    np.testing.assert_allclose(f1(matrix), metrics.f1_score(labels, predicted, labels=classes, average=None, **options))
    present = np.unique(labels)
    expected = metrics.f1_score(labels, predicted, labels=present, average="macro", **options)
    assert macro_f1(matrix) == pytest.approx(expected)
    hits = in_top_k(logits, labels, 2)
    assert hits.mean() == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=2, labels=classes))


@pytest.mark.parametrize("count", [3, 50])
def test_confusion_matrix_is_drawn(tmp_path, count):
    from PIL import Image

    matrix = np.eye(count, dtype=int) * 4
    matrix[0, 0] = 0  # a class without clips
    path = tmp_path / "confusion.png"
    confusion_matrix(matrix, [f"class {label}" for label in range(count)], path, "test")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("L")))) > 10  # not a blank page
    assert [p.name for p in tmp_path.iterdir()] == ["confusion.png"]
