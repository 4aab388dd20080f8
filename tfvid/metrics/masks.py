"""What temporal masks and their scores say about a model: the paper's measures.

Mänttäri et al., "Interpreting Video Features", ACCV 2020, section 4.3. OS, FS and RS are the class's probability for
the clip as it is, frozen and reversed (`tfvid.explain.masks.temporal_mask.TemporalMaskResult`).
"""

import numpy as np


def mask_length(mask, threshold: float = 0.5) -> np.ndarray:
    """Number of perturbed frames, those with m > threshold: `(B, T)` in [0, 1] to int `(B,)`."""
    return np.sum(np.asarray(mask) > threshold, axis=-1)


def still_clips(clips) -> np.ndarray:
    """Whether all frames of a clip are identical: `(B, T, H, W, C)` to bool `(B,)`.

    Of such a clip a mask over time says nothing: freezing or reversing frames changes nothing.
    """
    clips = np.asarray(clips)
    return (clips == clips[:, :1]).all(axis=tuple(range(1, clips.ndim)))


def drop(original_score, perturbed_score) -> np.ndarray:
    """How far perturbing lowers the score, OS - FS or OS - RS: `(B,)`, in [-1, 1]."""
    return np.asarray(original_score) - np.asarray(perturbed_score)


def is_trusted(original_score, full_drop) -> np.ndarray:
    """Whether a mask tells which frames the class needs: OS and D, `(B,)`, to bool `(B,)`.

    It does not where perturbing the whole clip lowers the score by less than a tenth (D = OS - the score of the whole
    clip perturbed): the class does not depend on what the perturbation takes away. False where D is NaN.
    """
    return np.asarray(full_drop) >= 0.1 * np.asarray(original_score)


def drop_difference(freeze_score, reverse_score) -> np.ndarray:
    """How much further freezing lowers the score than reversing does, RS - FS: `(B,)`, in [-1, 1]."""
    return np.asarray(reverse_score) - np.asarray(freeze_score)


def drop_ratio(original_score, freeze_score, reverse_score, smallest: float = 0.001) -> tuple[np.ndarray, np.ndarray]:
    """The drop by freezing over the drop by reversing, (OS - FS) / (OS - RS).

    Clips where either drop is `smallest` or less are left out, as in the paper: their ratio says nothing.

    Args:
      original_score: OS, `(B,)`.
      freeze_score: FS, `(B,)`.
      reverse_score: RS, `(B,)`.
      smallest: a drop must be larger than this, by more than float32 rounds a probability: 0.5 - 0.499 is not
        larger than 0.001, though float64 makes it so.

    Returns:
      ratio: `(B,)`, > 0 where kept, 0 where left out; never NaN.
      kept: bool `(B,)`; report ``ratio[kept].mean()`` and how many clips were left out.
    """
    freezing, reversing = drop(original_score, freeze_score), drop(original_score, reverse_score)
    least = smallest + np.finfo(np.float32).epsneg
    kept = (freezing > least) & (reversing > least)
    return np.divide(freezing, reversing, out=np.zeros(kept.shape, np.result_type(freezing, 0.0)), where=kept), kept
