"""Scores of clips that can be followed by hand: NumPy functions, as a model from anywhere."""

import numpy as np

# Two frames of 1 x 2 pixels, one channel.
CLIP = np.array([1.0, 2.0, 3.0, 4.0], np.float32).reshape(1, 2, 1, 2, 1)
# How the methods are to take these scores: as they are.
PLAINLY = {"output": "logits", "score": "logit", "fill": "fade"}


def linear(weights):
    """Logits ``(sum of weights * clip, 0)``."""
    weights = np.asarray(weights, np.float32)

    def scores(clips):
        first = np.einsum("bthwc,thwc->b", clips, weights.reshape(clips.shape[1:]))
        return np.stack([first, 0 * first], axis=-1)

    return scores


def pixels(function):
    """Logits ``(function of the clip's pixels in order, 0)``: `(B, N)` to `(B,)`."""

    def scores(clips):
        first = function(clips.reshape(len(clips), -1)).astype(np.float32)
        return np.stack([first, 0 * first], axis=-1)

    return scores
