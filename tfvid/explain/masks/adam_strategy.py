"""The published method: Adam on the logits of the mask, from a centred window; all clips of a batch at once.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 3.1.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError, check_choice
from tfvid.explain.masks.descent import StopRule, descend
from tfvid.explain.masks.evaluator import MaskEvaluator
from tfvid.explain.masks.strategy import Strategy
from tfvid.explain.masks.windows import centred_windows
from tfvid.network.classifier import chosen_class, class_score
from tfvid.network.compiled import Compiled


@dataclass(frozen=True)
class AdamOptions:
    """The options of `AdamStrategy`.

    Attributes:
      learning_rate: of Adam, > 0.
      init: the initial mask: "central", the smallest centred window that keeps `central_share` of the full drop;
        "full", all frames; "random", uniform values, the same for every clip.
      central_share: in (0, 1].
      init_logit: the initial logit inside the window; its negative is the initial logit outside.
      seed: for ``init="random"``.
      tolerance: a clip stops after `patience` steps in a row that do not lower its best loss by more than this. None:
        all steps are taken, as published.
      patience: see `tolerance`.
      keep: "last", the mask after the last step, as published; or "best", the mask with the lowest loss.

    Raises:
      TfvidError: an unknown choice, or a value outside its range.
    """

    learning_rate: float = 0.2
    init: str = "central"
    central_share: float = 0.9
    init_logit: float = 5.0
    seed: int = 0
    tolerance: float | None = None
    patience: int = 20
    keep: str = "last"

    def __post_init__(self):
        check_choice("init", self.init, ("central", "full", "random"))
        check_choice("keep", self.keep, ("last", "best"))
        if self.learning_rate <= 0 or not 0 < self.central_share <= 1:
            raise TfvidError(
                "expected learning_rate > 0 and central_share in (0, 1], got "
                f"{self.learning_rate}, {self.central_share}"
            )


class AdamStrategy(Strategy):
    """Minimises the loss over ``r``, with the mask ``sigmoid(r)``, by Adam. Each clip has its own moments and end.

    Args:
      evaluator: the model and the objective.
      options: see `AdamOptions`.

    Attributes:
      compiled: `learn` as a compiled function.
    """

    def __init__(self, evaluator: MaskEvaluator, options: AdamOptions):
        super().__init__(evaluator)
        self.options = options
        self.compiled = Compiled(self.learn, "gradient")

    def __call__(self, clips, target, labels, iterations):
        return self.compiled(clips, target, labels, tf.fill(target.shape, iterations))

    def learn(self, clips, target, labels, iterations) -> dict[str, tf.Tensor]:
        """Computes the result of a chunk of clips; to be traced.

        Args:
          clips: float32 `(B, T, H, W, C)`.
          target: int32 `(B,)`, -1 for the predicted class.
          labels: int32 `(B,)`, -1 if unknown.
          iterations: int32 `(B,)`, the maximum number of steps of each clip.

        Returns:
          All fields of `TemporalMaskResult` but `still`.
        """
        evaluator, options = self.evaluator, self.options
        probabilities = evaluator.classifier.probabilities(clips)
        _, chosen = chosen_class(probabilities, target)
        original = class_score(probabilities, chosen)
        objective, mixtures = evaluator.objective, evaluator.search_mixtures(clips)

        def value(mask):
            return objective.value(class_score(mixtures(objective.perturb, mask), chosen))

        def loss(r):
            return objective.charged(objective(mixtures, tf.sigmoid(r), chosen), original).loss

        empty = original if objective.empty_is_clip else value(tf.zeros((tf.shape(clips)[0], clips.shape[1])))
        initial_mask, full_drop, passes = self._initial_mask(clips, empty, value)
        passes += not objective.empty_is_clip
        stop = StopRule(iterations, options.tolerance, options.patience)
        r, taken = descend(loss, self._initial_logits(initial_mask), options.learning_rate, stop, options.keep)
        if not evaluator.is_exact:
            mixtures = evaluator.exact_mixtures(clips)
        report = evaluator.report(probabilities, mixtures, target, labels, tf.sigmoid(r))
        return report | {
            "iterations": taken,
            "initial_mask": initial_mask,
            "full_drop": full_drop,
            "window_loss": tf.fill(tf.shape(target), np.nan),
            # The 1 is the pass for the unperturbed clip.
            "forward_passes": taken + passes + (options.keep == "best") + 1 + evaluator.report_passes,
            "backward_passes": taken,
        }

    def _initial_mask(self, clips, empty, value):
        """Returns the initial masks `(B, T)`, the full drops `(B,)` and the number of forward passes used.

        Args:
          clips: see `learn`.
          empty: the value of the empty mask, `(B,)`.
          value: masks to what the objective lowers, `(B,)`.
        """
        num_clips, num_frames = tf.shape(clips)[0], clips.shape[1]

        def drop(window):
            return empty - value(tf.tile(window[tf.newaxis], (num_clips, 1)))

        if self.options.init == "central":
            windows = centred_windows(num_frames)
            drops = tf.map_fn(drop, windows)  # (windows, B); one window at a time bounds memory
            full_drop = drops[0]
            keeps = (drops >= self.options.central_share * full_drop) & (full_drop > 0)
            order = tf.range(windows.shape[0])[:, tf.newaxis]
            smallest = tf.reduce_max(tf.where(keeps, order, 0), axis=0)
            return tf.gather(windows, smallest), full_drop, len(windows)

        full = tf.ones(num_frames)
        random = tf.random.stateless_uniform((num_frames,), (self.options.seed, 0))
        mask = full if self.options.init == "full" else random
        return tf.tile(mask[tf.newaxis], (num_clips, 1)), drop(full), 1

    def _initial_logits(self, mask):
        if self.options.init == "random":
            return tf.math.log(mask + 1e-6) - tf.math.log(1 - mask + 1e-6)
        return tf.where(mask > 0.5, self.options.init_logit, -self.options.init_logit)
