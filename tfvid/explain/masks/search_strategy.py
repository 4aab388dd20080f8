"""Strategies that search clip by clip: for the best window, and for a soft mask by a descent from a window."""

from abc import abstractmethod
from functools import partial

import numpy as np
import tensorflow as tf

from tfvid.core.timing import timed
from tfvid.explain.masks.evaluator import MaskEvaluator
from tfvid.explain.masks.mask_search import ClipObjective, Found, Memoised, best_window, descended
from tfvid.explain.masks.objective import Terms
from tfvid.explain.masks.stem import stem_features
from tfvid.explain.masks.strategy import Strategy
from tfvid.explain.masks.sufficient import SufficientObjective
from tfvid.explain.masks.surrogate import one_blas_thread
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled
from tfvid.perturb.temporal import MATRICES


class SearchStrategy(Strategy):
    """Searches for the mask of each clip separately. A subclass implements `search`.

    Args:
      evaluator: the model and the objective.
    """

    def __init__(self, evaluator: MaskEvaluator):
        super().__init__(evaluator)
        self.compiled = Compiled(self._scores)
        self._compiled_original = Compiled(self._original)
        self._compiled_features = Compiled(self._features)
        self._compiled_gradient = Compiled(self._gradient, "gradient")
        self._compiled_report = Compiled(self._report)

    @abstractmethod
    def search(self, objective: ClipObjective, iterations: int) -> Found:
        """Returns the mask of one clip.

        Args:
          objective: the loss of the clip as a function of its mask.
          iterations: the maximum number of gradients of one descent.
        """

    def __call__(self, clips, target, labels, iterations):
        probabilities, classes, original_scores = self._compiled_original(clips, target)
        objectives = [
            self._clip_objective(clips[i : i + 1], classes[i : i + 1], float(original_scores[i]))
            for i in range(len(clips))
        ]
        with timed("search"), one_blas_thread():
            found = [self.search(objective, iterations) for objective in objectives]
        mask, window, window_loss, backward = map(np.array, zip(*found, strict=True))
        full = np.ones((1, clips.shape[1]), np.float32)
        empty = original_scores if self.evaluator.objective.empty_is_clip else _empty(objectives)
        full_drop = empty - np.concatenate([objective.scores(full) for objective in objectives])
        forward = np.array([len(objective.scores.known) for objective in objectives])
        report = self._compiled_report(clips, probabilities, target, labels, tf.constant(mask))
        report_passes = self.evaluator.report_passes
        if not self.evaluator.is_exact:  # the mask may be worse than its window, once both are computed exactly
            of_window = self._compiled_report(clips, probabilities, target, labels, tf.constant(window))
            window_loss, report = of_window["loss"].numpy(), _lower(report, of_window)
            report_passes *= 2
        return report | {
            "iterations": backward.astype(np.int32),
            "initial_mask": window,
            "full_drop": full_drop,
            "window_loss": window_loss.astype(np.float32),
            # The 1 is the pass for the unperturbed clip.
            "forward_passes": (forward + backward + 1 + report_passes).astype(np.int32),
            "backward_passes": backward.astype(np.int32),
        }

    def _clip_objective(self, clip, target, original: float) -> ClipObjective:
        objective = self.evaluator.objective
        features = () if self.evaluator.stem is None else (self._compiled_features(clip),)
        matrix = MATRICES.get(objective.perturb)

        def costs(masks):
            return (objective.length(masks) + objective.changes(masks)).numpy()

        def scores(masks):
            return self.compiled(clip, target, tf.constant(masks), *features).numpy()

        def loss_and_gradient(mask):
            loss, gradient = self._compiled_gradient(clip, target, tf.constant(mask[np.newaxis]), *features)
            return float(loss[0]), gradient[0].numpy()

        known = Memoised(scores)
        empty = original if objective.empty_is_clip else float(known(np.zeros((1, clip.shape[1]), np.float32))[0])
        return ClipObjective(
            clip.shape[1],
            costs,
            objective.price,
            known,
            loss_and_gradient,
            matrix and (lambda masks: matrix(masks).numpy()),
            empty,
            floor=0.0 if objective.score == "probability" and self.evaluator.classifier.output != "score" else -np.inf,
            penalty=partial(objective.penalty, original=original)
            if isinstance(objective, SufficientObjective)
            else None,
        )

    def _original(self, clips, target):
        """Returns, for unperturbed clips, the probabilities `(B, K)`, the classes `(B,)` and their scores `(B,)`."""
        probabilities = self.evaluator.classifier.probabilities(clips)
        _, target = chosen_class(probabilities, target)
        return probabilities, target, class_score(probabilities, target)

    def _report(self, clips, probabilities, target, labels, mask):
        mixtures = self.evaluator.exact_mixtures(clips)
        return self.evaluator.report(probabilities, mixtures, target, labels, mask)

    def _features(self, clip):
        return stem_features(self.evaluator.searcher, self.evaluator.stem, clip)

    def _scores(self, clip, target, masks, *features):
        """Returns the scores `(W,)` of one clip `(1, T, H, W, C)` under masks `(W, T)`."""
        return self._terms(clip, target, masks, features).score

    def _gradient(self, clip, target, masks, *features):
        """Returns the losses of one clip under masks `(W, T)`, and their gradients at the masks."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(masks)
            loss = self._terms(clip, target, masks, features).loss
        return loss, tape.gradient(loss, masks)

    def _terms(self, clip, target, masks, features) -> Terms:
        clip = tf.ensure_shape(clip, (1, *clip.shape[1:]))
        features = [tf.ensure_shape(x, (1, *x.shape[1:])) for x in features]
        mixtures = self.evaluator.search_mixtures(clip, *features)
        return self.evaluator.objective(mixtures, masks, tf.repeat(target, tf.shape(masks)[0]))


class WindowSearch(SearchStrategy):
    """Finds the best contiguous binary mask, by forward passes alone; see `mask_search.best_window`."""

    def search(self, objective, iterations):
        return best_window(objective)


class DescentSearch(SearchStrategy):
    """Finds a good window, then descends from it with a surrogate of the score; see `mask_search.descended`."""

    def search(self, objective, iterations):
        return descended(objective, evaluations=iterations)


def _empty(objectives: list[ClipObjective]) -> np.ndarray:
    """Returns the values of the empty mask: float32 `(B,)`."""
    return np.array([objective.unperturbed for objective in objectives], np.float32)


def _lower(one: dict[str, tf.Tensor], other: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Returns, for each clip, the rows of the report with the lower loss."""
    first = one["loss"].numpy() <= other["loss"].numpy()
    return {
        name: np.where(first.reshape(-1, *[1] * (value.shape.rank - 1)), value, other[name])
        for name, value in one.items()
    }
