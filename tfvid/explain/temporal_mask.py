"""The learned temporal mask: which frames the class score cannot do without.

Over masks m = sigmoid(r), one value a frame, 1 = perturbed (frozen, say), minimise

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)  +  score_c(perturb(x, m))        (their Eq. 1)

by Adam on r: short, smooth in time, and hurting the score of class c most. Or first find the best contiguous window, by
forward passes alone (`tfvid.explain.windows`), and descend from there.
Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1; after Fong & Vedaldi, ICCV 2017.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvid.errors import TfvidError
from tfvid.explain.base import Compiled, Explainer, Explanation, check_choice, chosen_class, class_score
from tfvid.explain.stem import Mixtures, Stem, find_stem
from tfvid.explain.windows import distinct, lowest, window_masks
from tfvid.perturb import PERTURBATIONS
from tfvid.perturb.temporal import MATRICES, freeze, reverse

WINDOWS_AT_ONCE = 8  # of one clip; bounds the memory of a search


@dataclass(frozen=True)
class TemporalMaskResult(Explanation):
    """Learned masks and what they do to the model's answer. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class for the clip as it is.
      mask: float32 `(B, T)` in [0, 1], 1 = perturbed.
      loss: float32 `(B,)`, the objective at `mask`, the sum of the three terms.
      length_term: float32 `(B,)`, the weighted mask length.
      variation_term: float32 `(B,)`, the weighted total variation.
      score_term: float32 `(B,)`, the score of the perturbed clip.
      iterations: int32 `(B,)`, Adam steps taken.
      original_score: float32 `(B,)`, **OS**, for the clip as it is.
      freeze_score: float32 `(B,)`, **FS**, for the clip frozen with `mask` as learned (soft, not rounded).
      reverse_score: float32 `(B,)`, **RS**, for the clip reversed with the same mask, soft too: runs are frames with
        a mask above 0.1, as `tfvid.reverse` defines them.
      true_score: float32 `(B,)`, **CS**, the probability of the true class for the clip as it is; NaN without labels.
      initial_mask: float32 `(B, T)`, where the search began.
      full_drop: float32 `(B,)`, **D**, how far perturbing the whole clip lowers the score. Where it is <= 0 the
        perturbation does not hurt this class at all, "central" started from the full window, and the mask says little.
      window_loss: float32 `(B,)`, the lowest loss of all contiguous binary masks, the empty one among them; NaN where
        they were not searched. `loss` less this is the gap to that optimum, below zero where the mask is better.
      forward_passes: int32 `(B,)`, runs of the model that this clip took, those of the search included.
      backward_passes: int32 `(B,)`, gradients at the mask that it took.
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


class TemporalMask(Explainer):
    """Learns, for each clip, a mask over time that hurts the model's score with the fewest frames perturbed.

    All clips of a batch are learned at once, each with Adam moments, a loss and an end of its own: a clip's mask does
    not depend on its batch mates. The defaults are the paper's for Something-something; its KTH masks use
    ``length_weight=0.02, variation_weight=0.04``.

    About the learning rate: table 6 of the paper prints 0.001, but Adam moves a logit by about the learning rate a
    step at most, so 300 steps move it by 0.3, and a mask that begins at +-5 could never cross 0.5. The published
    masks did; the authors' PyTorch code uses 0.2.

    Args:
      model: a Keras model, see `Explainer`.
      perturbation: "freeze", "reverse", a user's ``"my_file.py:name"``, or a function (clips, mask) -> clips.
      method: "gradient", as published; "search", the best contiguous binary mask, found for certain and without
        gradients; "search+gradient" descends from that one, and ends no higher. From there a few dozen steps do:
        ``method="search+gradient", iterations=40, learning_rate=0.3, init_logit=3.0, keep="best"``. A search wants
        the probability for a `score`.
      length_weight: lambda 1, the price of one perturbed frame.
      variation_weight: lambda 2, the price of a change along the mask.
      variation: "published", as the authors' code, which counts inner differences twice, or "paper"; see
        `total_variation`.
      variation_power: beta, >= 1.
      score: what is driven down: "probability", as in the paper, or "logit".
      learning_rate: Adam's.
      iterations: Adam steps.
      init: "central", the smallest centred window that keeps `central_share` of the drop D that perturbing the whole
        clip brings; "full", the whole clip; "random", uniform mask values, the same draw for every clip.
      central_share: in (0, 1].
      init_logit: r is this inside the window begun with and minus this outside.
      seed: for init="random".
      tolerance: None takes all `iterations`, as published. Otherwise a clip is done after `patience` steps in a row of
        which none lowered its best loss by more than this.
      patience: see `tolerance`.
      keep: "last", the mask after the last step, as published, or "best", the one of the lowest loss on the way.
      output: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> result = TemporalMask(model, iterations=100)(clips, labels=labels)
      >>> result.mask.shape, result.freeze_score < result.original_score
      ((2, 16), array([ True,  True]))
    """

    def __init__(
        self,
        model,
        perturbation="freeze",
        *,
        method: str = "gradient",
        length_weight: float = 0.01,
        variation_weight: float = 0.02,
        variation: str = "published",
        variation_power: float = 3.0,
        score: str = "probability",
        learning_rate: float = 0.2,
        iterations: int = 300,
        init: str = "central",
        central_share: float = 0.9,
        init_logit: float = 5.0,
        seed: int = 0,
        tolerance: float | None = None,
        patience: int = 20,
        keep: str = "last",
        output: str = "auto",
        batch_size: int = 4,
    ):
        super().__init__(model, output=output, batch_size=batch_size)
        check_choice("method", method, ("gradient", "search", "search+gradient"))
        check_choice("variation", variation, VARIATIONS)
        check_choice("score", score, ("probability", "logit"))
        check_choice("init", init, ("central", "full", "random"))
        check_choice("keep", keep, ("last", "best"))
        if variation_power < 1 or iterations < 0 or learning_rate <= 0 or not 0 < central_share <= 1:
            raise TfvidError(
                "expected variation_power >= 1, iterations >= 0, learning_rate > 0 and central_share in (0, 1], got "
                f"{variation_power}, {iterations}, {learning_rate}, {central_share}"
            )
        if method != "gradient" and score != "probability":
            raise TfvidError(f"method {method!r} wants score='probability', whose lowest value is known; got {score!r}")
        self.method = method
        self.perturb = perturbation if callable(perturbation) else PERTURBATIONS.find(perturbation)
        self.length_weight = length_weight
        self.variation_weight = variation_weight
        self.variation = variation
        self.variation_power = variation_power
        self.score = score
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.init = init
        self.central_share = central_share
        self.init_logit = init_logit
        self.seed = seed
        self.tolerance = tolerance
        self.patience = patience
        self.keep = keep
        self._stem: Stem | None = None
        self._is_prepared = False
        self._compiled = Compiled(self._learn)
        self._compiled_original = Compiled(self._original)
        self._compiled_windows = Compiled(self._windows)

    def __call__(self, clips, target=None, labels=None) -> TemporalMaskResult:
        """Learns a mask for each clip.

        Args:
          clips: float `(B, T, H, W, C)`, T >= 2; see `Explainer.__call__`.
          target: the class to explain, int or `(B,)`; None for each clip's predicted class.
          labels: the true classes `(B,)`, -1 where not known, for `true_score`; they do not change the masks.

        Returns:
          A `TemporalMaskResult`.

        Raises:
          TfvidError: see `Explainer.__call__`; also clips of a single frame.
        """
        return self._run(clips, target, labels=labels)

    def prepare(self, clips):
        if clips.shape[1] == 1:
            raise TfvidError("a mask over time needs clips of 2 frames or more, got clips of a single frame")
        super().prepare(clips)
        if not self._is_prepared:
            self._stem, self._is_prepared = find_stem(self.classifier, clips), True

    def _explain(self, clips, target, labels):
        searched = () if self.method == "gradient" else self._search(clips, target)
        iterations = tf.fill(target.shape, 0 if self.method == "search" else self.iterations)
        learned = self._compiled(clips, target, labels, iterations, *searched)
        return TemporalMaskResult(**{name: x.numpy() for name, x in learned.items()})

    def _search(self, clips, target):
        """The best contiguous binary mask of each clip `(B, T)`, its loss, and how many were tried, both `(B,)`."""
        masks = window_masks(clips.shape[1])
        costs = (self._length(masks) + self._variation(masks)).numpy()
        if self.perturb in MATRICES:
            rows = distinct(masks, costs, MATRICES[self.perturb])
            masks, costs = masks[rows], costs[rows]
        target, original_scores = self._compiled_original(clips, target)
        found = []
        for i in range(len(clips)):
            clip, chosen = clips[i : i + 1], target[i : i + 1]
            row, loss, tried = lowest(
                costs,
                lambda rows: self._compiled_windows(clip, chosen, tf.constant(masks[rows])).numpy(),  # noqa: B023
                min(WINDOWS_AT_ONCE, len(masks)),
            )
            unperturbed = float(original_scores[i])  # the loss of the empty mask
            found.append((masks[row], loss, tried) if loss < unperturbed else (0 * masks[row], unperturbed, tried))
        windows, losses, tried = zip(*found, strict=True)
        return tf.stack(windows), tf.constant(losses, tf.float32), tf.constant(tried, tf.int32)

    def _original(self, clips, target):
        """The class explained and its score for the clips as they are, both `(B,)`."""
        probabilities = self.classifier.probabilities(clips)
        _, target = chosen_class(probabilities, target)
        return target, class_score(probabilities, target)

    def _windows(self, clip, target, masks):
        """The score of one clip `(1, T, H, W, C)` under many masks `(W, T)`: `(W,)`."""
        clip = tf.ensure_shape(clip, (1, *clip.shape[1:]))
        scores = Mixtures(self.classifier, self._stem, clip)(self.perturb, masks)
        return tf.gather(scores, target[0], axis=1)

    def _learn(
        self, clips, target, labels, iterations, window=None, window_loss=None, windows_tried=None
    ) -> dict[str, tf.Tensor]:
        """The whole procedure for a chunk, every clip with a number of steps of its own; traced once.

        `window` `(B, T)`, its loss and the number of windows tried, both `(B,)`, come from a search if there was one.
        """
        probabilities = self.classifier.probabilities(clips)
        predicted, target = chosen_class(probabilities, target)
        original_score = class_score(probabilities, target)
        true_score = tf.where(labels < 0, np.nan, class_score(probabilities, tf.maximum(labels, 0)))

        scores = Mixtures(self.classifier, self._stem, clips)

        def score(perturb, mask):
            return class_score(scores(perturb, mask), target)

        def objective(r):
            return self._objective(scores, target, tf.sigmoid(r))

        if window is None:
            initial_mask, full_drop, passes = self._initial_mask(clips, original_score, score)
            window_loss = tf.fill(tf.shape(target), np.nan)
        else:
            initial_mask, full_drop = window, original_score - score(self.perturb, tf.ones_like(window))
            passes = windows_tried + 3  # its own original score, the full drop, and the comparison below
        r, taken = self._descend(objective, self._initial_logits(initial_mask), iterations)
        if window is not None:  # the window itself, where soft masks near it are no better
            r = tf.where((window_loss < objective(r).loss)[:, tf.newaxis], saturated(window), r)
        terms = objective(r)
        mask = tf.sigmoid(r)
        return {
            "target": target,
            "predicted": predicted,
            "mask": mask,
            "loss": terms.loss,
            "length_term": terms.length,
            "variation_term": terms.variation,
            "score_term": terms.score,
            "iterations": taken,
            "original_score": original_score,
            "freeze_score": score(freeze, mask),
            "reverse_score": score(reverse, mask),
            "true_score": true_score,
            "initial_mask": initial_mask,
            "full_drop": full_drop,
            "window_loss": window_loss,
            # Besides: the clip as it is, the objective in the end (twice to tell which mask is best), FS and RS.
            "forward_passes": taken + passes + (5 if self.keep == "best" else 4),
            "backward_passes": taken,
        }

    def _objective(self, scores, target, mask) -> "Terms":
        """Eq. 1 and its three terms, each `(B,)`."""
        score = class_score(scores(self.perturb, mask, self.score), target)
        return Terms(self._length(mask), self._variation(mask), score)

    def _length(self, mask):
        return self.length_weight * tf.reduce_sum(tf.abs(mask), axis=-1)

    def _variation(self, mask):
        return self.variation_weight * total_variation(mask, self.variation, self.variation_power)

    def _initial_mask(self, clips, original_score, score):
        """The binary window (or random mask) to start from, `(B, T)`, the full drop D, `(B,)`, and the passes taken."""
        num_clips, num_frames = tf.shape(clips)[0], clips.shape[1]

        def drop(window):
            return original_score - score(self.perturb, tf.tile(window[tf.newaxis], (num_clips, 1)))

        if self.init == "central":
            windows = centred_windows(num_frames)
            drops = tf.map_fn(drop, windows)  # (windows, B); a window at a time bounds memory
            full_drop = drops[0]
            keeps = (drops >= self.central_share * full_drop) & (full_drop > 0)
            order = tf.range(windows.shape[0])[:, tf.newaxis]
            smallest = tf.reduce_max(tf.where(keeps, order, 0), axis=0)
            return tf.gather(windows, smallest), full_drop, len(windows)

        full = tf.ones(num_frames)
        mask = full if self.init == "full" else tf.random.stateless_uniform((num_frames,), (self.seed, 0))
        return tf.tile(mask[tf.newaxis], (num_clips, 1)), drop(full), 1

    def _initial_logits(self, mask):
        if self.method == "search":
            return saturated(mask)
        if self.method == "gradient" and self.init == "random":
            return tf.math.log(mask + 1e-6) - tf.math.log(1 - mask + 1e-6)
        return tf.where(mask > 0.5, self.init_logit, -self.init_logit)

    def _descend(self, objective, r, iterations):
        """Adam on r `(B, T)`, every clip for itself; returns r and the steps each clip took, `(B,)`."""

        def active(search):
            has_steps = search.step <= iterations
            return has_steps if self.tolerance is None else has_steps & (search.stale < self.patience)

        def goes_on(search):
            return tf.reduce_any(active(search))

        # A function of its own within the loop: inlined into it, the gradient of some of the 3-D max-pools would fall
        # back from oneDNN to a kernel a hundred times slower (TensorFlow 2.21: the rewrite wants a pool before its
        # gradient, and a loop's graph has no such order).
        @partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
        def loss_and_gradient(r):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(r)
                loss = objective(r).loss
            return loss, tape.gradient(loss, r)

        def step(search):
            loss, gradient = loss_and_gradient(search.r)
            first, second, move = adam(gradient, search.step, search.first, search.second)
            better = loss < search.best_loss
            clearly_better = loss < search.best_loss - (self.tolerance or 0.0)
            moved = active(search)
            return [
                Search(
                    step=search.step + 1,
                    r=tf.where(moved[:, tf.newaxis], search.r - self.learning_rate * move, search.r),
                    first=first,
                    second=second,
                    best_r=tf.where(better[:, tf.newaxis], search.r, search.best_r),
                    best_loss=tf.minimum(loss, search.best_loss),
                    stale=tf.where(clearly_better, 0, search.stale + 1),
                    taken=search.taken + tf.cast(moved, tf.int32),
                )
            ]

        zeros = tf.zeros_like(r)
        none = tf.zeros_like(r[:, 0], tf.int32)
        start = Search(tf.constant(1), r, zeros, zeros, r, tf.fill(tf.shape(none), np.inf), none, none)
        search = tf.while_loop(goes_on, step, [start])[0]
        if self.keep == "last":
            return search.r, search.taken
        last_is_best = objective(search.r).loss < search.best_loss
        return tf.where(last_is_best[:, tf.newaxis], search.r, search.best_r), search.taken


def saturated(mask):
    """The logits r whose sigmoid in float32 is this binary mask, exactly."""
    return tf.where(mask > 0.5, 200.0, -200.0)


class Terms(NamedTuple):
    """The three terms of Eq. 1, each `(B,)`."""

    length: tf.Tensor
    variation: tf.Tensor
    score: tf.Tensor

    @property
    def loss(self):
        return self.length + self.variation + self.score


class Search(NamedTuple):
    """Where the search stands: the step (from 1), and for each clip its own r, Adam moments, best and patience."""

    step: tf.Tensor  # ()
    r: tf.Tensor  # (B, T)
    first: tf.Tensor  # (B, T)
    second: tf.Tensor  # (B, T)
    best_r: tf.Tensor  # (B, T)
    best_loss: tf.Tensor  # (B,)
    stale: tf.Tensor  # (B,), steps since the loss was last clearly better
    taken: tf.Tensor  # (B,)


def adam(g, t, m, v, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
    """One step of Adam, Kingma & Ba, ICLR 2015, Algorithm 1.

    Args:
      g: the gradient.
      t: the step, from 1.
      m: the first moment before the step, the shape of `g`.
      v: the second moment before the step, the shape of `g`.

    Returns:
      Both moments after the step, and the direction to go *against*, times the learning rate.
    """
    t = tf.cast(t, g.dtype)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return m, v, m_hat / (tf.sqrt(v_hat) + epsilon)


VARIATIONS = ("published", "paper")


def total_variation(mask, variation: str = "published", power: float = 3.0):
    """How much a mask changes along time.

    With ``d[t] = |m[t+1] - m[t]|^power``, "paper" is ``sum d`` (section 3.1); "published" is what the authors' code
    computes, ``2 sum d - d[0] - d[-1]``: it visits the inner frames and adds the differences to both neighbours.

    Args:
      mask: `(B, T)`, T >= 2.
      variation: "published" or "paper".
      power: beta, >= 1.

    Returns:
      `(B,)`.
    """
    d = tf.abs(mask[:, 1:] - mask[:, :-1]) ** power
    total = tf.reduce_sum(d, axis=-1)
    return total if variation == "paper" else 2 * total - d[:, 0] - d[:, -1]


def centred_windows(num_frames: int) -> np.ndarray:
    """The full window, then those with i frames off each end, i = 1 .. T/2 - 1: float32 `(max(T/2, 1), T)`, binary."""
    t = np.arange(num_frames)
    off = np.arange(max(num_frames // 2, 1))[:, np.newaxis]
    return ((t >= off) & (t < num_frames - off)).astype(np.float32)
