"""Clips whose class survives that they move in a window only."""

import numpy as np
import pytest

from tfvid.core.errors import TfvidError
from tfvid.data import Windowed
from tfvid.experiments.survival import survives, surviving


def brightness(clips):
    """Probabilities of two classes: the brightness of the last frame, and the rest."""
    bright = np.asarray(clips)[:, -1].mean(axis=(1, 2, 3))
    return np.stack([bright, 1 - bright], axis=1)


def clips_of(*brightnesses):
    return np.tile(np.float32(brightnesses).reshape(-1, 1, 1, 1, 1), (1, 4, 2, 2, 3))


def test_half_of_the_score_must_be_left():
    whole, windowed = clips_of(0.8, 0.8, 0.2, 0.2), clips_of(0.5, 0.3, 0.5, 0.7)
    # The predicted classes are 0, 0, 1, 1; of scores of 0.8 there are 0.5, 0.3, 0.5 and 0.3 left.
    assert survives(brightness, whole, windowed).tolist() == [True, False, True, False]
    assert survives(brightness, whole, windowed, 0).tolist() == [True, False, True, True]
    assert survives(brightness, whole, windowed, share=0.7).tolist() == [False, False, False, False]


def test_samples_of_a_data_set():
    dataset = Windowed(dataset="shapes", options={"train": 0, "validation": 12})
    samples = dataset.samples("validation")

    def last_column(clips):
        """The predicted class depends on the pixels of the last frame, which a window may change."""
        bright = np.asarray(clips)[:, -1, :, -3:].mean(axis=(1, 2, 3))
        score = 1 / (1 + np.exp(-200 * (bright - 0.5)))
        return np.stack([score, 1 - score], axis=1)

    kept = surviving(last_column, dataset, samples, 8, (16, 16))
    whole, windowed = (
        np.stack([source.read(sample, 8, (16, 16)).frames for sample in samples]) / np.float32(255)
        for source in (dataset.whole, dataset)
    )
    expected = survives(last_column, whole, windowed)
    assert kept == [sample for sample, is_kept in zip(samples, expected, strict=True) if is_kept]
    assert surviving(last_column, dataset, [], 8, (16, 16)) == []


def test_what_is_refused():
    with pytest.raises(TfvidError, match="share in"):
        survives(brightness, clips_of(1), clips_of(1), share=0)
    with pytest.raises(TfvidError, match="one shape"):
        survives(brightness, clips_of(1), clips_of(1, 1))
    with pytest.raises(TfvidError, match="'predicted' or 'true', got 'best'"):
        surviving(brightness, Windowed(dataset="shapes"), [], 8, (16, 16), target="best")
