"""The paper's measures of temporal masks and their scores.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 4.3. OS, FS and RS are the class's probability for
the original, the frozen and the reversed clip (`tfvid.explain.masks.temporal_mask.TemporalMaskResult`).
"""

import numpy as np


def mask_length(mask, threshold: float = 0.5) -> np.ndarray:
    """Returns the number of perturbed frames, those with m > threshold: int `(B,)`, of masks `(B, T)` in [0, 1]."""
    return np.sum(np.asarray(mask) > threshold, axis=-1)


def still_clips(clips) -> np.ndarray:
    """Returns whether all frames of a clip are identical: bool `(B,)`, of clips `(B, T, H, W, C)`.

    A temporal mask of such a clip has no meaning, since freezing or reversing frames does not change the clip.
    """
    clips = np.asarray(clips)
    return (clips == clips[:, :1]).all(axis=tuple(range(1, clips.ndim)))


def drop(original_score, perturbed_score) -> np.ndarray:
    """Returns how much the perturbation lowers the score, OS - FS or OS - RS: `(B,)`, in [-1, 1]."""
    return np.asarray(original_score) - np.asarray(perturbed_score)


def is_trusted(original_score, full_drop) -> np.ndarray:
    """Returns whether a mask can show the frames that the class depends on.

    It cannot if perturbing the whole clip lowers the score by less than a tenth: then the class does not depend on what
    the perturbation removes.

    Args:
      original_score: OS, `(B,)`.
      full_drop: D, OS minus the score of the clip with all frames perturbed, `(B,)`; NaN if unknown.

    Returns:
      Bool `(B,)`; False if D is NaN.
    """
    return np.asarray(full_drop) >= 0.1 * np.asarray(original_score)


def drop_difference(freeze_score, reverse_score) -> np.ndarray:
    """Returns how much more freezing lowers the score than reversing, RS - FS: `(B,)`, in [-1, 1]."""
    return np.asarray(reverse_score) - np.asarray(freeze_score)


def drop_ratio(original_score, freeze_score, reverse_score, smallest: float = 0.001) -> tuple[np.ndarray, np.ndarray]:
    """Returns the drop by freezing divided by the drop by reversing, (OS - FS) / (OS - RS).

    Clips with a drop of `smallest` or less are left out, as in the paper: their ratio has no meaning.

    Args:
      original_score: OS, `(B,)`.
      freeze_score: FS, `(B,)`.
      reverse_score: RS, `(B,)`.
      smallest: a drop must be larger, by more than the rounding of a float32 probability. 0.5 - 0.499 is not larger
        than 0.001, although it is in float64.

    Returns:
      ratio: `(B,)`, above 0 if kept, 0 if left out; never NaN.
      kept: bool `(B,)`; report ``ratio[kept].mean()`` and the number of clips left out.
    """
    freezing, reversing = drop(original_score, freeze_score), drop(original_score, reverse_score)
    least = smallest + np.finfo(np.float32).epsneg
    kept = (freezing > least) & (reversing > least)
    return np.divide(freezing, reversing, out=np.zeros(kept.shape, np.result_type(freezing, 0.0)), where=kept), kept
