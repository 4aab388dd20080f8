"""The share of a class's score that motion carries.

    motion_share(c) = 1 - mean score_c(one frame repeated) / mean score_c(clip as it is),   cut to [0, 1]

over the clips of class c. 0: the score of a still picture is as high. 1: nothing of the score is left without motion.
A model of K classes that is undecided about a still picture leaves 1 / K of the score, so values up to 1 - 1 / K are
usual. The share is that of the score, not of the accuracy.
"""

import numpy as np

from tfvid.experiments.audit.interventions import AS_IS, ONE_FRAME
from tfvid.experiments.audit.predictions import Answers


def motion_shares(answers: Answers) -> dict[int, float | None]:
    """Returns the share of each class that has clips; None if the score of its clips is 0.

    Args:
      answers: of a model, to the clips as they are and to one frame repeated.
    """
    moving, still = answers.true_score(AS_IS), answers.true_score(ONE_FRAME)
    return {
        label: share_lost(moving[answers.labels == label], still[answers.labels == label]) for label in answers.classes
    }


def share_lost(before, after) -> float | None:
    """Returns ``1 - mean(after) / mean(before)``, cut to [0, 1]; None if the mean before is 0.

    The ratio of the means is stable where single scores are near 0, which the mean of ratios is not.
    """
    whole = float(np.mean(before, dtype=np.float64))
    return float(np.clip(1 - np.mean(after, dtype=np.float64) / whole, 0, 1)) if whole > 0 else None


def mean_share(shares: dict[int, float | None]) -> float | None:
    """Returns the mean over the classes; None if no class has a share."""
    known = [share for share in shares.values() if share is not None]
    return float(np.mean(known)) if known else None
