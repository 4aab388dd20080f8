"""The contract of explainers."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from tfvid.explain.base import Attribution, Explainer, Explanation
from tfvid.explain.explainers import EXPLAINERS
from tfvid.network.tracing import named_layers
from tfvid.testing.expect import expect, expect_array, expect_equal, expect_refused, expect_runs
from tfvid.testing.small_model import small_clips, small_model

KINDS = {np.dtype(kind) for kind in ("float32", "int32", "bool")}


def check_explainer(
    make: str | Callable[..., Explainer], *, model=None, clips: np.ndarray | None = None, atol: float = 1e-4, **options
) -> None:
    """Checks that an explainer keeps the contract of `tfvid.Explainer`.

    * It returns an `Explanation` of NumPy arrays, float32, int32 or bool, one row per clip, without NaN.
    * ``attribution`` is `(B, T, H, W)`, ``mask`` `(B, T)` in [0, 1], ``window`` `(B, 2)`, if the result has them.
    * The predicted class is the model's; it is the class explained unless `target` says otherwise.
    * The result is the same in a second call, in chunks of another `batch_size`, and for each clip alone.
    * Its compiled functions are traced once, whatever the number of clips.
    * Targets and clips that do not fit are refused with a `TfvidError`.
    * The model and the clips are unchanged, also after an error.

    Args:
      make: a subclass of `tfvid.Explainer`, another callable ``(model, **options)`` that returns an explainer, or a
        name in `tfvid.explain.EXPLAINERS`.
      model: a Keras model with logits or probabilities `(B, K)`, K at least 2; None: a small one.
      clips: float `(3, T, H, W, C)` for this model; None: random ones for the small model.
      atol: the largest difference of two results that count as the same.
      **options: of the explainer, e.g. few samples, to keep the check short.

    Raises:
      AssertionError: the first violation, in one line.

    Example:
      >>> tfvid.testing.check_explainer(MyExplainer, samples=4)
    """
    make = EXPLAINERS.find(make) if isinstance(make, str) else make
    name = getattr(make, "__name__", type(make).__name__)
    own_model, model = model is None, small_model() if model is None else model
    clips = small_clips(3) if clips is None else np.asarray(clips)
    before, given = fingerprint(model), clips.copy()
    explain = expect_runs(name, "an explainer of the model", make, model, batch_size=2, **options)
    expect(isinstance(explain, Explainer), name, "a tfvid.Explainer", type(explain).__name__)
    result = expect_runs(name, "an explanation of 3 clips", explain, clips)
    _check_result(name, result, clips)
    _check_classes(name, explain, result, clips)
    _check_independence(name, explain, make, result, clips, atol, options)
    _check_refusals(name, explain, clips)
    expect(np.array_equal(clips, given), name, "clips that stay unchanged", "changed clips")
    _check_unchanged(name, model, before)
    if own_model:
        _check_after_error(name, make, model, clips, before, options)


def arrays(result: Explanation) -> dict[str, np.ndarray]:
    """The arrays of a result by name."""
    return {field.name: getattr(result, field.name) for field in fields(result)}


def fingerprint(model) -> dict:
    """Everything of a model that an explainer could leave changed, by the path of its layers."""
    return {
        path: (
            layer.trainable,
            sorted(vars(layer)),
            vars(layer).get("call"),
            vars(layer).get("activation"),
            layer.dtype_policy.name,
            [weight.numpy().tobytes() for weight in layer.weights],
        )
        for path, layer in [("", model), *named_layers(model)]
    }


def _check_result(name: str, result, clips: np.ndarray) -> None:
    expect(isinstance(result, Explanation), name, "a tfvid.Explanation", type(result).__name__)
    count, length, height, width = clips.shape[:4]
    for field, value in arrays(result).items():
        where = f"{name}: result.{field}"
        expect(isinstance(value, np.ndarray), where, "a NumPy array", type(value).__name__)
        expect(value.shape[:1] == (count,), where, f"{count} rows, one per clip", f"shape {value.shape}")
        expect(value.dtype in KINDS, where, "float32, int32 or bool", str(value.dtype))
        if field not in result.not_known:
            expect(bool(np.isfinite(value).all()), where, "finite numbers", "NaN or infinite ones")
    shapes = {"attribution": (count, length, height, width), "mask": (count, length), "window": (count, 2)}
    for field, shape in shapes.items():
        if hasattr(result, field):
            kind = np.int32 if field == "window" else np.float32
            expect_array(f"{name}: result.{field}", getattr(result, field), shape, kind)
    if hasattr(result, "mask"):
        low, high = float(result.mask.min()), float(result.mask.max())
        expect(low >= 0 and high <= 1, f"{name}: result.mask", "values in [0, 1]", f"{low:g} to {high:g}")


def _check_classes(name: str, explain: Explainer, result: Explanation, clips: np.ndarray) -> None:
    scores = np.asarray(explain.classifier.logits(clips))
    top, classes = scores.argmax(-1), scores.shape[-1]
    expect(
        np.array_equal(result.predicted, top), f"{name}: result.predicted", f"{top.tolist()}", result.predicted.tolist()
    )
    expect(np.array_equal(result.target, top), f"{name}: result.target", f"{top.tolist()}", result.target.tolist())
    for target in (classes - 1, np.arange(len(clips))[::-1] % classes):
        wanted = np.broadcast_to(target, len(clips))
        got = expect_runs(name, f"an explanation of target {np.asarray(target).tolist()}", explain, clips, target)
        expect(np.array_equal(got.target, wanted), f"{name}: result.target", f"{wanted.tolist()}", got.target.tolist())
        expect(
            np.array_equal(got.predicted, top), f"{name}: result.predicted", f"{top.tolist()}", got.predicted.tolist()
        )
        if isinstance(got, Attribution):
            _check_score(name, explain, got, clips)


def _check_score(name: str, explain: Explainer, result: Attribution, clips: np.ndarray) -> None:
    rows = np.arange(len(clips)), result.target
    logits, shares = np.asarray(explain.classifier.logits(clips)), np.asarray(explain.classifier.probabilities(clips))
    known = [scores[rows] for scores in (logits, shares)]
    same = any(np.allclose(result.score, scores, rtol=1e-2, atol=1e-3) for scores in known)
    expected = f"the logits {known[0].round(4).tolist()} or probabilities {known[1].round(4).tolist()} of the target"
    expect(same, f"{name}: result.score", expected, result.score.round(4).tolist())


def _check_independence(name, explain, make, result, clips, atol: float, options) -> None:
    first = arrays(result)
    expect_equal(name, "the same result in a second call", first, arrays(explain(clips)), atol)
    together = expect_runs(
        name, "a result with batch_size=3", make(explain.classifier.model, batch_size=3, **options), clips
    )
    expect_equal(name, "the same result for batch_size 2 and 3", first, arrays(together), atol)
    alone = expect_runs(name, "an explanation of one clip", explain, clips[1:2])
    expected = "the same result for a clip alone as among others"
    expect_equal(name, expected, {key: value[1:2] for key, value in first.items()}, arrays(alone), atol)
    expect(explain.traces <= 1, name, "functions that are traced once per clip shape", f"{explain.traces} traces")


def _check_refusals(name: str, explain: Explainer, clips: np.ndarray) -> None:
    classes = explain.classifier.num_classes
    for target in (classes, -1, [0], 1.0, "cat"):
        expect_refused(name, f"target={target!r}", explain, clips, target)
    broken = clips.copy()
    broken[1, 0, 0, 0, 0] = np.nan
    wrong = {"one clip without a batch axis": clips[0], "no clip": clips[:0], "NaN pixels": broken}
    for argument, bad in wrong.items():
        expect_refused(name, argument, explain, bad)


def _check_unchanged(name: str, model, before: dict, when: str = "") -> None:
    now = fingerprint(model)
    changed = [path or "the model itself" for path in before if now.get(path) != before[path]]
    expect(
        now == before, name, f"a model that stays unchanged{when}", f"changes in {', '.join(changed) or 'its layers'}"
    )


def _check_after_error(name, make, model, clips, before, options) -> None:
    explain = make(model, **options)
    model.fail = True
    try:
        explain(clips)
    except Exception:
        pass
    else:
        raise AssertionError(f"{name}: expected an error of the model to be raised, got a result")
    finally:
        model.fail = False
    _check_unchanged(name, model, before, " after an error")
