"""The dual of Eq. 1: the least that must move for the class to keep its score, while all else is held.

    length_weight * sum_t |m[t]|  +  variation_weight * TV(m)
        +  1 - score_c(keep(x, m))  +  PENALTY * max(0, keep_share * score_c(x) - score_c(keep(x, m)))

A mask value of 1 means that a frame is kept. The weights are those of Eq. 1 (Mänttäri et al., "Interpreting Video
Features", ACCV 2020, section 3.1). Without the last term this is the preservation game of Fong & Vedaldi
("Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017, section 4.1) in time, plus 1, which
moves no minimum and makes the third term a probability. The last term is zero as soon as the share of the score is
kept. Nothing moves before and after the clip, so the mask counts as 0 there in TV: a window that ends with the clip has
an edge there. Without that edge a window would rather go on to the end of the clip, through frames at rest.

keep(x, m) is `hold` for the perturbation "freeze": frames before the first kept frame show that frame, frames after the
last one show the last one. The paper's own operator, freeze(x, 1 - m), shows the first frame of the clip until the
first kept frame. Then all that happened before is one jump into the kept frames: the last frame alone would "suffice"
for a class such as "appearing", which it does not show. With `hold`, a class can only come from what moves in the mask.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.masks.objective import Objective, Terms
from tfvid.perturb.temporal import freeze, hold

BEYOND = 2  # zeros on either side of a mask; with two of them every edge counts alike, see `total_variation`
PENALTY = 10.0  # a frame costs 0.01; so a share that is missed by 0.001 costs as much as one frame more


class SufficientObjective(Objective):
    """The dual objective. Its `perturb` takes masks of kept frames.

    Args:
      perturbation: what happens to the frames that are not kept, as for `Objective`; "freeze" means `hold`.
      keep_share: the share of the score that is to be kept, in [0, 1]; 0 leaves out the last term.
      **options: those of `Objective`.

    Raises:
      TfvidError: an unknown choice, a share outside its range, or a score other than "probability".
    """

    kind = "sufficient"
    empty_is_clip = False

    def __init__(self, perturbation="freeze", *, keep_share: float = 0.9, **options):
        super().__init__(perturbation, **options)
        if self.score != "probability":
            raise TfvidError(
                "objective 'sufficient' keeps a share of a probability: expected score='probability', got "
                f"{self.score!r}; leave score out, or use objective='necessary'"
            )
        if not 0 <= keep_share <= 1:
            raise TfvidError(f"expected keep_share in [0, 1], got {keep_share}")
        self.keep_share = keep_share
        self.perturb = keeping(self.perturb)

    def changes(self, mask):
        return super().changes(tf.pad(mask, ((0, 0), (BEYOND, BEYOND))))

    def price(self, mask):
        total, gradient = super().price(np.pad(mask, BEYOND))
        return total, gradient[BEYOND:-BEYOND]

    def value(self, score):
        """Returns the probability of all other classes."""
        return 1 - score

    def charged(self, terms, original):
        missed = self.keep_share * original - (1 - terms.score)
        return Terms(terms.length, terms.variation, terms.score + PENALTY * tf.maximum(missed, 0))

    def penalty(self, value, original: float) -> tuple:
        """Returns what `charged` adds to a value of the third term, and its derivative by this value; NumPy."""
        missed = self.keep_share * original - (1 - value)
        return PENALTY * np.maximum(missed, 0), PENALTY * (missed > 0)


def keeping(perturb: Callable) -> Callable:
    """Returns the function (clips, mask) -> clips that perturbs what a mask does not keep."""
    if perturb is freeze:
        return hold

    def perturb_rest(clips, mask):
        return perturb(clips, 1 - mask)

    return perturb_rest
