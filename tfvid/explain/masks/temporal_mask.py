"""The learned temporal mask: the frames that the class score depends on.

Over masks m, one value in [0, 1] per frame, 1 = perturbed (e.g. frozen), it minimises

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)  +  score_c(perturb(x, m))        (their Eq. 1)

With ``objective="sufficient"`` it is the dual: the least that must move for the class to keep its score
(`masks.sufficient`).

A good mask is short, smooth in time and lowers the score of class c. The objective is `masks.objective`, what a mask
does to a clip is `tfvid.perturb`, and how a mask is found is a `Strategy`: `adam_strategy` (as published) or
`search_strategy`.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1; after Fong & Vedaldi, ICCV 2017.
"""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Unpack

import numpy as np

from tfvid.core.errors import StillClipWarning, TfvidError, check_choice
from tfvid.explain.base import Explainer, Explanation
from tfvid.explain.masks.adam_strategy import AdamOptions, AdamStrategy
from tfvid.explain.masks.evaluator import MaskEvaluator
from tfvid.explain.masks.objective import Objective
from tfvid.explain.masks.search_strategy import DescentSearch, WindowSearch
from tfvid.explain.masks.strategy import Strategy
from tfvid.explain.masks.sufficient import SufficientObjective
from tfvid.explain.options import ModelOptions
from tfvid.metrics.masks import is_trusted, still_clips


@dataclass(frozen=True)
class TemporalMaskResult(Explanation):
    """Temporal masks and their effect on the model's scores. All scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class for the unperturbed clip.
      mask: float32 `(B, T)` in [0, 1]. Objective "necessary": 1 = perturbed. The mask perturbs as few frames as
        possible to lower the score, so the model needs the frames that it perturbs (section 3.1 of the paper).
        Objective "sufficient": 1 = kept. The motion of as few frames as possible is kept, all else is held.
      loss: float32 `(B,)`, the objective at `mask`, the sum of the next three terms.
      length_term: float32 `(B,)`, the weighted length of the mask.
      variation_term: float32 `(B,)`, the weighted total variation of the mask.
      score_term: float32 `(B,)`, the score of the perturbed clip; for "sufficient" see `SufficientObjective`.
      iterations: int32 `(B,)`, the number of steps taken; each step takes one gradient.
      original_score: float32 `(B,)`, **OS**, of the unperturbed clip.
      freeze_score: float32 `(B,)`, **FS**, of the clip frozen with `mask` (soft, not rounded).
      reverse_score: float32 `(B,)`, **RS**, of the clip reversed with `mask` (soft, not rounded). Runs of frames with a
        mask value above 0.1 are reversed, see `tfvid.reverse`.
      true_score: float32 `(B,)`, **CS**, the probability of the true class for the unperturbed clip; NaN without
        labels.
      initial_mask: float32 `(B, T)`, the initial mask of the descent; of a search, the best window tried.
      full_drop: float32 `(B,)`, **D**, the drop of the score if all frames are perturbed, or none is kept. If it is
        <= 0, the perturbation does not hurt this class: "central" then starts from the full window, and the mask has
        little meaning.
      window_loss: float32 `(B,)`. With "search": the lowest loss over all contiguous binary masks and the empty mask.
        With "search+gradient": the loss of the best window tried, with soft or sharp edges; `loss` is never above it,
        nor above the loss that "search" finds.
        With "gradient": NaN. ``loss - window_loss`` is the gap to that window, negative if the mask is better.
      forward_passes: int32 `(B,)`, the forward passes of the model for this clip, those of the search included.
      backward_passes: int32 `(B,)`, the gradients at the mask for this clip.
      probabilities: float32 `(B, K)`, of all classes, for the unperturbed clip.
      still: bool `(B,)`, whether all frames of the clip are identical. Its mask then has no meaning.
      keeps: bool `(B,)`, whether the mask is of frames that suffice, so that 1 means kept; False for "necessary".
      kept_score: float32 `(B,)`, **KS**, of the clip in which only the frames of a sufficient mask move (soft, not
        rounded); NaN for "necessary".
      reached: bool `(B,)`, whether KS is at least `keep_share` of OS; False for "necessary".
      sufficient: with ``objective="both"`` the result of the sufficient masks, while this one is that of the necessary
        masks; else None, and None after `join`. It is not a field.
    """

    mask: np.ndarray
    loss: np.ndarray
    length_term: np.ndarray
    variation_term: np.ndarray
    score_term: np.ndarray
    iterations: np.ndarray
    original_score: np.ndarray
    freeze_score: np.ndarray
    reverse_score: np.ndarray
    true_score: np.ndarray
    initial_mask: np.ndarray
    full_drop: np.ndarray
    window_loss: np.ndarray
    forward_passes: np.ndarray
    backward_passes: np.ndarray
    probabilities: np.ndarray
    still: np.ndarray
    keeps: np.ndarray
    kept_score: np.ndarray
    reached: np.ndarray

    not_known = ("true_score", "window_loss", "kept_score")
    sufficient: ClassVar["TemporalMaskResult | None"] = None

    def with_sufficient(self, other: "TemporalMaskResult") -> "TemporalMaskResult":
        """This result, which now keeps `other` as its `sufficient`."""
        object.__setattr__(self, "sufficient", other)  # results are frozen
        return self

    @property
    def is_trusted(self) -> np.ndarray:
        """bool `(B,)`: whether the mask shows which frames the class needs, see `tfvid.metrics.masks.is_trusted`.

        False for clips whose frames are all identical.
        """
        return is_trusted(self.original_score, self.full_drop) & ~self.still


def warn_of_still_clips(result: TemporalMaskResult):
    """Warns, two calls up the stack, if clips are `still`."""
    places = np.flatnonzero(result.still)
    if places.size:
        message = f"clip {places[0]}: all frames are identical, so its mask says nothing about time"
        more = f" ({places.size} of {len(result)} clips are so)" if len(result) > 1 else ""
        warnings.warn(message + more, StillClipWarning, stacklevel=3)


def stated(found: Mapping, kind: str, keep_share: float) -> dict:
    """Returns the fields of a result that state its objective.

    Args:
      found: the other fields, by name.
      kind: "necessary" or "sufficient".
      keep_share: the share of the score that a sufficient mask is to keep.
    """
    original = np.asarray(found["original_score"])
    kept = np.asarray(found.get("kept_score", np.full_like(original, np.nan)))
    return {
        "keeps": np.full(len(original), kind == "sufficient"),
        "kept_score": kept,
        "reached": kept >= keep_share * original,
    }


OBJECTIVES = ("necessary", "sufficient", "both")
# The default of `iterations` by method.
ITERATIONS = {"gradient": 300, "search": 0, "search+gradient": 30}


class TemporalMask(Explainer[TemporalMaskResult]):
    """Finds, for each clip, a mask over time that lowers the model's score with the fewest frames perturbed.

    Or, with ``objective="sufficient"``, a mask of the fewest frames that must move for the class to keep its score. A
    class that has several signs may need none of them, and one of them may be enough; so the two masks may differ.

    The mask of a clip does not depend on the other clips of its batch. The defaults are the paper's for
    Something-something; for its KTH masks use ``length_weight=0.02, variation_weight=0.04``.

    About the learning rate: table 6 of the paper states 0.001. Adam moves a logit by at most about the learning rate
    per step, so 300 steps would move it by 0.3, and a mask that starts at +-5 could not cross 0.5. The published masks
    did cross it; the authors' PyTorch code uses 0.2.

    Args:
      model: a Keras model from float clips `(B, T, H, W, C)` to class scores `(B, K)`; for ``method="search"`` any
        callable from NumPy clips to NumPy scores. It is left unchanged.
      objective: "necessary", Eq. 1: the frames that the class cannot do without. "sufficient", its dual: the frames
        that do when all else is held, see `tfvid.explain.masks.sufficient`; it needs ``score="probability"``, and
        ``method="search"`` is best for it: values of 0.25 let motion pass, so learned masks are low and long. "both":
        the result of "necessary", which has that of "sufficient" as its attribute `sufficient`; about twice the cost.
      keep_share: the share of the score that a sufficient mask is to keep, in [0, 1]. A mask that keeps less is
        charged for it, and `reached` says whether it was kept.
      perturbation: "freeze", "reverse", "blur", a user's ``"my_file.py:name"``, or a function (clips, mask) -> clips.
      method: "gradient", Adam, as published. "search", the best contiguous binary mask, by forward passes only; it
        needs ``score="probability"``. "search+gradient", a coarse window search and a descent with a surrogate model
        of the score (`tfvid.explain.masks.mask_search`); on most clips it is as good as "gradient" or better, in a
        fraction of the time.
      length_weight: lambda 1, the cost of one perturbed frame.
      variation_weight: lambda 2, the cost of changes along the mask.
      variation: "published", as in the authors' code, which counts inner differences twice, or "paper"; see
        `total_variation`.
      variation_power: beta, >= 1.
      score: the score to lower: "probability", as in the paper, or "logit".
      learning_rate: of Adam, > 0. Only for "gradient", as the options from `init` to `keep`.
      iterations: Adam steps, 300 by default. For "search+gradient": the maximum number of gradients of one descent, 30
        by default; further starts get 6 or 12 if no window is clearly the best or takes most of the score.
      init: the initial mask: "central", the smallest centred window that keeps `central_share` of the drop D of
        perturbing the whole clip; "full", the whole clip; "random", uniform values, the same for every clip.
      central_share: in (0, 1].
      init_logit: the initial logit inside the initial window; its negative is the initial logit outside.
      seed: for ``init="random"``.
      tolerance: None takes all `iterations`, as published. Otherwise a clip stops after `patience` steps in a row that
        do not lower its best loss by more than this.
      patience: see `tolerance`.
      keep: "last", the mask after the last step, as published, or "best", the mask with the lowest loss.
      precision: what the search computes in: None (as the model), "bfloat16" or "float16". The class explained and all
        scores of the result are always computed in the model's own precision. On a machine without bfloat16
        instructions, "bfloat16" warns and the search runs in float32.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out.
      input_range: the values (low, high) that the model expects for black and white; clips in [0, 1] are scaled to
        them. None: clips are passed unscaled. "auto": the declared or implied range, see `Explainer`.
      batch_size: number of clips explained at a time, >= 1; it bounds memory and does not change results.

    Attributes:
      gradient_options: class attribute: the options that only method "gradient" uses.
      objective: Eq. 1, an `Objective`; its dual for "sufficient".
      dual: the explainer of the sufficient masks with ``objective="both"``; else None.
      keep_share: as given.
      perturb: the perturbation, a function (clips, mask) -> clips; for "sufficient" the mask is of the kept frames.
      method: as given.
      iterations: as given, or the default of the method; can be set.
      evaluator: the model under masks, a `MaskEvaluator`.
      strategy: how masks are found, a `Strategy`.

    Raises:
      TfvidError: an unknown choice, or an option outside its range.
      ModelError: when called, if the method cannot explain the model.

    Example:
      >>> result = TemporalMask(model, iterations=100)(clips, labels=labels)
      >>> result.mask.shape, result.freeze_score < result.original_score
      ((2, 16), array([ True,  True]))
    """

    result_type = TemporalMaskResult
    gradient_options: ClassVar = tuple(field.name for field in fields(AdamOptions))

    def __init__(
        self,
        model,
        perturbation="freeze",
        *,
        method: str = "gradient",
        objective: str = "necessary",
        keep_share: float = 0.9,
        length_weight: float = 0.01,
        variation_weight: float = 0.02,
        variation: str = "published",
        variation_power: float = 3.0,
        score: str = "probability",
        learning_rate: float = 0.2,
        iterations: int | None = None,
        init: str = "central",
        central_share: float = 0.9,
        init_logit: float = 5.0,
        seed: int = 0,
        tolerance: float | None = None,
        patience: int = 20,
        keep: str = "last",
        precision: str | None = None,
        batch_size: int = 4,
        **options: Unpack[ModelOptions],
    ):
        self.scores_only = method == "search"
        super().__init__(model, batch_size=batch_size, **options)
        check_choice("method", method, ITERATIONS)
        check_choice("objective", objective, OBJECTIVES)
        check_choice("precision", precision, (None, "bfloat16", "float16"))
        if method == "search" and score != "probability":
            raise TfvidError(f"method 'search' needs score='probability', whose lowest value is known; got {score!r}")
        self.method = method
        self.iterations = ITERATIONS[method] if iterations is None else iterations
        if self.iterations < 0:
            raise TfvidError(f"expected iterations >= 0, got {iterations}")
        self.keep_share = keep_share
        shared: dict[str, Any] = {
            "length_weight": length_weight,
            "variation_weight": variation_weight,
            "variation": variation,
            "variation_power": variation_power,
            "score": score,
        }
        adam = AdamOptions(learning_rate, init, central_share, init_logit, seed, tolerance, patience, keep)
        necessary, self.dual = Objective(perturbation, **shared), None
        if objective == "necessary":
            self._look_for(necessary, precision, adam)
            return
        sufficient = SufficientObjective(perturbation, keep_share=keep_share, **shared)
        self._look_for(necessary if objective == "both" else sufficient, precision, adam)
        if objective == "both":
            self.dual = copy.copy(self)
            self.dual._look_for(sufficient, precision, adam)
            self.dual.dual = None

    def _look_for(self, objective: Objective, precision: str | None, adam: AdamOptions):
        """Sets the attributes that depend on the objective."""
        self.objective, self.perturb = objective, objective.perturb
        self.evaluator = MaskEvaluator(self.classifier, objective, precision)
        self.strategy = self._strategy(adam)
        self._compiled = self.strategy.compiled

    def _strategy(self, adam: AdamOptions) -> Strategy:
        if self.method == "gradient":
            return AdamStrategy(self.evaluator, adam)
        return {"search": WindowSearch, "search+gradient": DescentSearch}[self.method](self.evaluator)

    def __call__(self, clips, target=None, labels=None) -> TemporalMaskResult:
        """Finds a mask for each clip.

        Args:
          clips: float `(B, T, H, W, C)`, T >= 2, array or tensor, RGB in [0, 1], as `tfvid.read_clip` returns them. If
            `input_range` is None or unknown: in the range that the model expects.
          target: the class to explain: an int for all clips, ints `(B,)`, or None for each clip's predicted class.
          labels: the true classes, ints `(B,)`, -1 if unknown; for `true_score` only.

        Returns:
          A `TemporalMaskResult`.

        Raises:
          TfvidError: clips, target or labels do not fit the model; clips of a single frame; NaN or infinite pixels; too
            little memory for a single clip.
          ModelError: the method cannot explain this model, or its scores or gradients are NaN or infinite.

        Warns:
          StillClipWarning: all frames of a clip are identical, so its mask says nothing about time.
        """
        result = self._run(clips, target, labels=labels)
        warn_of_still_clips(result)
        if self.dual is not None:
            self.dual.iterations, self.dual.batch_size = self.iterations, self.batch_size
            result.with_sufficient(self.dual._run(clips, result.target, labels=labels))
        return result

    def prepare(self, clips):
        if clips.shape[1] == 1:
            raise TfvidError("a mask over time needs clips of 2 frames or more, got clips of a single frame")
        super().prepare(clips)
        self.evaluator.prepare(clips)

    def _compute(self, clips, target, labels):
        found = self.strategy(clips, target, labels, self.iterations) | {"still": still_clips(clips)}
        return found | stated(found, self.objective.kind, self.keep_share)
