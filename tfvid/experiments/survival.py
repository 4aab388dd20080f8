"""Which clips of a `Windowed` data set still show their class: those have a true event window."""

from collections.abc import Sequence

import numpy as np

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import TfvidError
from tfvid.data.decode.clip import Sample
from tfvid.data.sources.windowed import Windowed
from tfvid.network.checks import class_indices
from tfvid.network.compiled import Compiled

SHARE = 0.5  # of the score of the whole clip that must be left
AT_ONCE = 8  # clips in the model


def survives(model, whole, windowed, target=None, *, share: float = SHARE) -> np.ndarray:
    """Returns whether the class of each clip survives that the clip moves in a window only.

    Args:
      model: a Keras model from clips to class scores, a model of another make, or a callable of NumPy clips.
      whole: the clips as they are, float `(B, T, H, W, C)`, RGB in [0, 1].
      windowed: the same clips with motion in a window, like `whole`.
      target: the class: an int, ints `(B,)`, or None for the class predicted for the whole clip.
      share: the share of the score of the whole clip that must be left, in (0, 1].

    Returns:
      Bool `(B,)`.

    Raises:
      TfvidError: clips or target do not fit the model, or a share outside its range.
    """
    if not 0 < share <= 1:
        raise TfvidError(f"expected a share in (0, 1], got {share}")
    if np.shape(whole) != np.shape(windowed):
        raise TfvidError(f"expected whole and windowed clips of one shape, got {np.shape(whole)}, {np.shape(windowed)}")
    classifier = classifier_of(model, "auto", any_callable=True, input_range="auto")
    both = [classifier.checked(clips) for clips in (whole, windowed)]
    classifier.prepare(both[0])
    probabilities = Compiled(classifier.probabilities)
    before, after = (
        np.concatenate([probabilities(clips[i : i + AT_ONCE]).numpy() for i in range(0, len(clips), AT_ONCE)])
        for clips in both
    )
    rows = np.arange(len(before))
    chosen = before.argmax(axis=1) if target is None else _classes(target, before.shape)
    return after[rows, chosen] >= share * before[rows, chosen]


def surviving(
    model,
    dataset: Windowed,
    samples: Sequence[Sample],
    num_frames: int,
    size: tuple[int, int],
    *,
    target: str = "predicted",
    share: float = SHARE,
) -> list[Sample]:
    """Returns the samples whose class survives, see `survives`. It reads each clip twice.

    Args:
      model: see `survives`.
      dataset: the windowed data set.
      samples: of the data set.
      num_frames: T.
      size: (H, W) in pixels.
      target: the class: "predicted", for the whole clip, or "true".
      share: see `survives`.

    Raises:
      VideoError: a clip cannot be read.
      TfvidError: the target is neither of the two, or the clips do not fit the model.
    """
    if target not in ("predicted", "true"):
        raise TfvidError(f"expected target 'predicted' or 'true', got {target!r}")
    if not samples:
        return []
    whole, windowed = (
        np.stack([source.read(sample, num_frames, size).frames for sample in samples]).astype(np.float32) / 255
        for source in (dataset.whole, dataset)
    )
    labels = None if target == "predicted" else [sample.label for sample in samples]
    kept = survives(model, whole, windowed, labels, share=share)
    return [sample for sample, is_kept in zip(samples, kept, strict=True) if is_kept]


def _classes(target, shape: tuple[int, ...]) -> np.ndarray:
    num_clips, num_classes = shape
    return np.asarray(class_indices(target, num_clips, num_classes, "target", 0))
