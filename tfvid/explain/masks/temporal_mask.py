"""The learned temporal mask: which frames the class score cannot do without.

Over masks m = sigmoid(r), one value a frame, 1 = perturbed (frozen, say), minimise

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)  +  score_c(perturb(x, m))        (their Eq. 1)

by Adam on r: short, smooth in time, and hurting the score of class c most. Or by a search for the best contiguous
window, and a shorter descent from there (`tfvid.explain.masks.mask_search`).
Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1; after Fong & Vedaldi, ICCV 2017.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from tfvid.core.errors import StillClipWarning, TfvidError, check_choice
from tfvid.core.timing import timed
from tfvid.explain.base import Explainer, Explanation
from tfvid.explain.masks.descent import descend
from tfvid.explain.masks.mask_search import ClipObjective, Remembered, best_window, descended
from tfvid.explain.masks.objective import Objective, Terms
from tfvid.explain.masks.stem import Mixtures, Stem, find_stem, stem_features
from tfvid.explain.masks.surrogate import one_blas_thread
from tfvid.explain.masks.windows import centred_windows
from tfvid.metrics.masks import is_trusted, still_clips
from tfvid.network import onednn
from tfvid.network.classifier import Classifier, chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.temporal import MATRICES, freeze, reverse


@dataclass(frozen=True)
class TemporalMaskResult(Explanation):
    """Learned masks and what they do to the model's answer. Scores are probabilities of the class explained.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class for the clip as it is.
      mask: float32 `(B, T)` in [0, 1], 1 = perturbed. As few frames as possible are perturbed to lower the score, so a
        perturbed frame is one that the model needs (section 3.1 of the paper).
      loss: float32 `(B,)`, the objective at `mask`, the sum of the three terms.
      length_term: float32 `(B,)`, the weighted mask length.
      variation_term: float32 `(B,)`, the weighted total variation.
      score_term: float32 `(B,)`, the score of the perturbed clip.
      iterations: int32 `(B,)`, steps taken, a gradient each.
      original_score: float32 `(B,)`, **OS**, for the clip as it is.
      freeze_score: float32 `(B,)`, **FS**, for the clip frozen with `mask` as learned (soft, not rounded).
      reverse_score: float32 `(B,)`, **RS**, for the clip reversed with the same mask, soft too: runs are frames with
        a mask above 0.1, as `tfvid.reverse` defines them.
      true_score: float32 `(B,)`, **CS**, the probability of the true class for the clip as it is; NaN without labels.
      initial_mask: float32 `(B, T)`, where the search began.
      full_drop: float32 `(B,)`, **D**, how far perturbing the whole clip lowers the score. Where it is <= 0 the
        perturbation does not hurt this class at all, "central" started from the full window, and the mask says little.
      window_loss: float32 `(B,)`, of "search" the lowest loss of all contiguous binary masks, the empty one among
        them, for certain; of "search+gradient" that of the best window tried, its edges soft or sharp, which `loss` is
        never above; NaN of "gradient". `loss` less this is the gap to that window, below zero where the mask is better.
      forward_passes: int32 `(B,)`, runs of the model that this clip took, those of the search included.
      backward_passes: int32 `(B,)`, gradients at the mask that it took.
      probabilities: float32 `(B, K)`, of all classes, for the clip as it is.
      still: bool `(B,)`, whether all frames of the clip are identical: then its mask says nothing about time.
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

    not_known = ("true_score", "window_loss")

    @property
    def is_trusted(self) -> np.ndarray:
        """bool `(B,)`: whether the mask tells which frames the class needs, see `tfvid.metrics.masks.is_trusted`.

        It does not where all frames of the clip are identical.
        """
        return is_trusted(self.original_score, self.full_drop) & ~self.still


def warn_of_still_clips(result: TemporalMaskResult):
    """Warns the caller of the caller where clips are `still`."""
    places = np.flatnonzero(result.still)
    if places.size:
        message = f"clip {places[0]}: all frames are identical, so its mask says nothing about time"
        more = f" ({places.size} of {len(result)} clips are so)" if len(result) > 1 else ""
        warnings.warn(message + more, StillClipWarning, stacklevel=3)


# Options that methods other than "gradient" do not use.
OF_GRADIENT = ("learning_rate", "init", "central_share", "init_logit", "seed", "tolerance", "patience", "keep")


class TemporalMask(Explainer[TemporalMaskResult]):
    """Learns, for each clip, a mask over time that hurts the model's score with the fewest frames perturbed.

    All clips of a batch are learned at once, each with Adam moments, a loss and an end of its own: a clip's mask does
    not depend on its batch mates. The defaults are the paper's for Something-something; its KTH masks use
    ``length_weight=0.02, variation_weight=0.04``.

    About the learning rate: table 6 of the paper prints 0.001, but Adam moves a logit by about the learning rate a
    step at most, so 300 steps move it by 0.3, and a mask that begins at +-5 could never cross 0.5. The published
    masks did; the authors' PyTorch code uses 0.2.

    Args:
      model: a Keras model, or for `method="search"` any callable, see `Explainer`.
      perturbation: "freeze", "reverse", "blur", a user's ``"my_file.py:name"``, or a function (clips, mask) -> clips.
      method: "gradient", as published; "search+gradient", a coarse search for a window and a descent from there
        that predicts scores from all that were asked for (`tfvid.explain.masks.mask_search`), which is as good or
        better on most clips and takes a fraction of the time; "search", the best
        contiguous binary mask, found for certain and without gradients. The latter wants the probability for a `score`.
      length_weight: lambda 1, the price of one perturbed frame.
      variation_weight: lambda 2, the price of a change along the mask.
      variation: "published", as the authors' code, which counts inner differences twice, or "paper"; see
        `total_variation`.
      variation_power: beta, >= 1.
      score: what is driven down: "probability", as in the paper, or "logit".
      learning_rate: Adam's, for "gradient".
      iterations: Adam steps, 300 unless given; for "search+gradient" the most gradients of one descent, 30 (and 6 or
        12 of others, where no window is clearly the best or takes most of the score).
      init: "central", the smallest centred window that keeps `central_share` of the drop D that perturbing the whole
        clip brings; "full", the whole clip; "random", uniform mask values, the same draw for every clip.
      central_share: in (0, 1].
      init_logit: r is this inside the window begun with and minus this outside.
      seed: for init="random".
      tolerance: None takes all `iterations`, as published. Otherwise a clip is done after `patience` steps in a row of
        which none lowered its best loss by more than this.
      patience: see `tolerance`.
      keep: "last", the mask after the last step, as published, or "best", the one of the lowest loss on the way.
        `init` to `keep` are those of "gradient".
      precision: what the search for a mask computes in: None, as the model does, or "bfloat16" or "float16". The class
        explained and every score of the result are always computed as the model does. On a machine without bfloat16
        instructions "bfloat16" warns and searches in float32.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `Explainer`.

    Example:
      >>> result = TemporalMask(model, iterations=100)(clips, labels=labels)
      >>> result.mask.shape, result.freeze_score < result.original_score
      ((2, 16), array([ True,  True]))
    """

    result_type = TemporalMaskResult

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
        iterations: int | None = None,
        init: str = "central",
        central_share: float = 0.9,
        init_logit: float = 5.0,
        seed: int = 0,
        tolerance: float | None = None,
        patience: int = 20,
        keep: str = "last",
        precision: str | None = None,
        output: str = "auto",
        input_range="auto",
        batch_size: int = 4,
    ):
        self.scores_only = method == "search"
        super().__init__(model, output=output, input_range=input_range, batch_size=batch_size)
        check_choice("method", method, ("gradient", "search", "search+gradient"))
        check_choice("init", init, ("central", "full", "random"))
        check_choice("keep", keep, ("last", "best"))
        check_choice("precision", precision, (None, "bfloat16", "float16"))
        iterations = {"gradient": 300, "search": 0, "search+gradient": 30}[method] if iterations is None else iterations
        if iterations < 0 or learning_rate <= 0 or not 0 < central_share <= 1:
            raise TfvidError(
                "expected iterations >= 0, learning_rate > 0 and central_share in (0, 1], got "
                f"{iterations}, {learning_rate}, {central_share}"
            )
        if method == "search" and score != "probability":
            raise TfvidError(f"method 'search' wants score='probability', whose lowest value is known; got {score!r}")
        self.objective = Objective(
            perturbation,
            length_weight=length_weight,
            variation_weight=variation_weight,
            variation=variation,
            variation_power=variation_power,
            score=score,
        )
        self.perturb = self.objective.perturb
        self.method = method
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.init = init
        self.central_share = central_share
        self.init_logit = init_logit
        self.seed = seed
        self.tolerance = tolerance
        self.patience = patience
        self.keep = keep
        self.precision = precision
        self._searcher: Classifier | None = None  # the model in the precision of the search, and its stem
        self._stem: Stem | None = None
        self._compiled = Compiled(self._learn, "gradient")
        self._compiled_original = Compiled(self._original)
        self._compiled_features = Compiled(self._features)
        self._compiled_scores = Compiled(self._scores)
        self._compiled_gradient = Compiled(self._gradient, "gradient")
        self._compiled_told = Compiled(self._tell)

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

        Warns:
          StillClipWarning: all frames of a clip are identical, so its mask says nothing about time.
        """
        result = self._run(clips, target, labels=labels)
        warn_of_still_clips(result)
        return result

    def prepare(self, clips):
        if clips.shape[1] == 1:
            raise TfvidError("a mask over time needs clips of 2 frames or more, got clips of a single frame")
        super().prepare(clips)
        if self._searcher is None:
            searcher = self.classifier.computing_in(self.precision) if self._is_half() else self.classifier
            # A mere function has no layers that could be run once.
            self._stem, self._searcher = find_stem(searcher, clips) if searcher.is_keras else None, searcher

    def _is_half(self) -> bool:
        """Whether to search in half precision; warns where that was asked for and the machine cannot."""
        if self.precision == "bfloat16" and self.classifier.is_keras and not onednn.has_bfloat16():
            message = "precision 'bfloat16': this machine has no bfloat16 instructions, so the search runs in float32"
            warnings.warn(message, RuntimeWarning, stacklevel=5)  # where the explainer was called
            return False
        return self.precision is not None

    def _compute(self, clips, target, labels):
        if self.method == "gradient":
            result = self._compiled(clips, target, labels, tf.fill(target.shape, self.iterations))
        else:
            result = self._searched(clips, target, labels)
        return result | {"still": still_clips(clips)}

    # By search, clip by clip.

    def _searched(self, clips, target, labels) -> dict:
        probabilities, classes, original_scores = self._compiled_original(clips, target)
        objectives = [
            self._clip_objective(clips[i : i + 1], classes[i : i + 1], float(original_scores[i]))
            for i in range(len(clips))
        ]
        search = best_window if self.method == "search" else partial(descended, evaluations=self.iterations)
        with timed("search"), one_blas_thread():
            found = [search(objective) for objective in objectives]
        mask, window, window_loss, backward = map(np.array, zip(*found, strict=True))
        full = np.ones((1, clips.shape[1]), np.float32)
        full_drop = original_scores - np.concatenate([objective.scores(full) for objective in objectives])
        forward = np.array([len(objective.scores.known) for objective in objectives])
        told = self._compiled_told(clips, probabilities, target, labels, tf.constant(mask))
        told_passes = self._told_passes
        if self._searcher is not self.classifier:  # half precision may have taken a mask for better than its window
            of_window = self._compiled_told(clips, probabilities, target, labels, tf.constant(window))
            window_loss, told = of_window["loss"].numpy(), _lower(told, of_window)
            told_passes *= 2
        return told | {
            "iterations": backward.astype(np.int32),
            "initial_mask": window,
            "full_drop": full_drop,
            "window_loss": window_loss.astype(np.float32),
            # Besides: the clip as it is, the objective in the end, and RS (and FS).
            "forward_passes": (forward + backward + 1 + told_passes).astype(np.int32),
            "backward_passes": backward.astype(np.int32),
        }

    def _clip_objective(self, clip, target, unperturbed: float) -> ClipObjective:
        features = () if self._stem is None else (self._compiled_features(clip),)
        matrix = MATRICES.get(self.perturb)

        def costs(masks):
            return (self.objective.length(masks) + self.objective.changes(masks)).numpy()

        def scores(masks):
            return self._compiled_scores(clip, target, tf.constant(masks), *features).numpy()

        def loss_and_gradient(mask):
            loss, gradient = self._compiled_gradient(clip, target, tf.constant(mask[np.newaxis]), *features)
            return float(loss[0]), gradient[0].numpy()

        return ClipObjective(
            clip.shape[1],
            costs,
            self.objective.price,
            Remembered(scores),
            loss_and_gradient,
            matrix and (lambda masks: matrix(masks).numpy()),
            unperturbed,
            floor=0.0 if self.objective.score == "probability" else -np.inf,
        )

    def _original(self, clips, target):
        """Of the clips as they are: probabilities `(B, K)`, the class explained and its score, both `(B,)`."""
        probabilities = self.classifier.probabilities(clips)
        _, target = chosen_class(probabilities, target)
        return probabilities, target, class_score(probabilities, target)

    def _tell(self, clips, probabilities, target, labels, mask):
        stem = self._stem if self._searcher is self.classifier else None
        return self._told(probabilities, Mixtures(self.classifier, stem, clips), target, labels, mask)

    def _features(self, clip):
        return stem_features(self._searcher, self._stem, clip)

    def _scores(self, clip, target, masks, *features):
        """The score of one clip `(1, T, H, W, C)` under many masks `(W, T)`: `(W,)`."""
        return self._many(clip, target, masks, features).score

    def _gradient(self, clip, target, masks, *features):
        """The losses of one clip under masks `(W, T)`, and their gradients at the masks."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(masks)
            loss = self._many(clip, target, masks, features).loss
        return loss, tape.gradient(loss, masks)

    def _many(self, clip, target, masks, features) -> Terms:
        clip = tf.ensure_shape(clip, (1, *clip.shape[1:]))
        features = [tf.ensure_shape(x, (1, *x.shape[1:])) for x in features]
        mixtures = Mixtures(self._searcher, self._stem, clip, *features)
        return self.objective(mixtures, masks, tf.repeat(target, tf.shape(masks)[0]))

    # By gradient, all clips at once.

    def _learn(self, clips, target, labels, iterations) -> dict[str, tf.Tensor]:
        """The whole procedure for a chunk, every clip with a number of steps of its own; traced once."""
        probabilities = self.classifier.probabilities(clips)
        _, chosen = chosen_class(probabilities, target)
        mixtures = Mixtures(self._searcher, self._stem, clips)

        def score(mask):
            return class_score(mixtures(self.perturb, mask), chosen)

        def loss(r):
            return self.objective(mixtures, tf.sigmoid(r), chosen).loss

        initial_mask, full_drop, passes = self._initial_mask(clips, class_score(probabilities, chosen), score)
        r, taken = descend(
            loss,
            self._initial_logits(initial_mask),
            iterations,
            learning_rate=self.learning_rate,
            tolerance=self.tolerance,
            patience=self.patience,
            keep=self.keep,
        )
        if self._searcher is not self.classifier:
            mixtures = Mixtures(self.classifier, None, clips)
        told = self._told(probabilities, mixtures, target, labels, tf.sigmoid(r))
        return told | {
            "iterations": taken,
            "initial_mask": initial_mask,
            "full_drop": full_drop,
            "window_loss": tf.fill(tf.shape(target), np.nan),
            # Besides: the clip as it is, the objective in the end, and RS (and FS).
            "forward_passes": taken + passes + (self.keep == "best") + 1 + self._told_passes,
            "backward_passes": taken,
        }

    def _told(self, probabilities, mixtures: Mixtures, target, labels, mask) -> dict[str, tf.Tensor]:
        """What the model, in its own precision, says of clips and of their masks `(B, T)`."""
        predicted, target = chosen_class(probabilities, target)
        terms = self.objective(mixtures, mask, target)
        frozen = terms.score
        if self._told_passes > 2:
            frozen = class_score(mixtures(freeze, mask), target)
        return {
            "target": target,
            "predicted": predicted,
            "probabilities": probabilities,
            "mask": mask,
            "loss": terms.loss,
            "length_term": terms.length,
            "variation_term": terms.variation,
            "score_term": terms.score,
            "original_score": class_score(probabilities, target),
            "freeze_score": frozen,
            "reverse_score": class_score(mixtures(reverse, mask), target),
            "true_score": tf.where(labels < 0, np.nan, class_score(probabilities, tf.maximum(labels, 0))),
        }

    @property
    def _told_passes(self) -> int:
        """Runs of the model on perturbed clips that `_told` takes: FS is the objective's score where that freezes."""
        return 2 if self.perturb is freeze and self.objective.score == "probability" else 3

    def _initial_mask(self, clips, original_score, score):
        """The binary window (or random mask) to start from, `(B, T)`, the full drop D, `(B,)`, and the passes taken."""
        num_clips, num_frames = tf.shape(clips)[0], clips.shape[1]

        def drop(window):
            return original_score - score(tf.tile(window[tf.newaxis], (num_clips, 1)))

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
        if self.init == "random":
            return tf.math.log(mask + 1e-6) - tf.math.log(1 - mask + 1e-6)
        return tf.where(mask > 0.5, self.init_logit, -self.init_logit)


def _lower(one: dict[str, tf.Tensor], other: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """What was told of two masks a clip: for each clip, that of the mask with the lower loss."""
    first = one["loss"].numpy() <= other["loss"].numpy()
    return {
        name: np.where(first.reshape(-1, *[1] * (value.shape.rank - 1)), value, other[name])
        for name, value in one.items()
    }
