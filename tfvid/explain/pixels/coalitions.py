"""Scores of coalitions of segments, which LIME and Shapley values share.

A clip is cut into segments. The segments of a coalition stay, the others are filled, and the model scores the clip.
The methods differ in the coalitions that they score, and in how they compute the value of each segment from the scores.
"""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Unpack

import numpy as np

from tfvid.explain.base import ResultType
from tfvid.explain.pixels.masking import MaskedClip, MaskingExplainer, MaskingOptions, MaskingResult
from tfvid.explain.pixels.segments import checked_labels, cutter, numbered


@dataclass(frozen=True)
class SegmentsResult(MaskingResult):
    """The value of each segment, and the map in which each voxel has the value of its segment.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, the probability of `target` for the whole clip, or its logit (``score="logit"``).
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, the number of masked versions of the clip that the model scored.
      values: float32 `(B, P)`, signed; P is the largest number of segments of a clip, and values after a clip's last
        segment are 0.
      segments: int32 `(B, T, H, W)`, the segment of each voxel, 0 to P - 1, in the order of the labels.
    """

    values: np.ndarray
    segments: np.ndarray

    @classmethod
    def join(cls, parts):
        """Like `Explanation.join`, for clips with different numbers of segments, too, such as supervoxels."""
        most = max(part.values.shape[1] for part in parts)
        wide = [replace(part, values=np.pad(part.values, ((0, 0), (0, most - part.values.shape[1])))) for part in parts]
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in wide]) for f in fields(cls)})


class SegmentsExplainer(MaskingExplainer[ResultType]):
    """The base of explainers by coalitions. A method implements `_play`, from a `Game` to the values of its segments.

    Args:
      model: a Keras model of clips `(B, T, H, W, C)` that returns class scores `(B, K)`, or any function from NumPy
        clips to NumPy scores.
      segments: the segments that stay or go as a whole: "frames"; three whole numbers, the cells of a grid along (T, H,
        W); "supervoxels"; labels, ints `(T, H, W)` or `(1, T, H, W)` for all clips, or `(B, T, H, W)`, each label a
        segment; or a function from clips to such labels. See `tfvid.explain.pixels.segments`.
      fill: how hidden pixels are made: a name in `tfvid.perturb.fill.FILLS`, or a function from a clip `(1, T, H, W,
        C)` to a clip of the same shape. No fill is neutral for all models.
      score: the score to explain, the "probability" of the class or its "logit".
      progress: whether to show a bar on stderr for work of more than ten seconds a clip.
      output: what the model returns: "logits", "probabilities", or "auto", which finds out from the last layer or the
        scores.
      input_range: the values (low, high) that the model expects for black and white, e.g. (0, 255). Clips in [0, 1]
        are scaled to this range. None: clips are passed to the model unscaled. "auto": the range declared with
        `tfvid.declare` or in a model card, or the range that the model's first layers imply.
      batch_size: the number of masked versions of a clip that the model gets at a time, 1 or more. It bounds memory and
        does not change results.
    """

    result_type: ClassVar[type[MaskingResult]] = SegmentsResult

    def __init__(self, model, segments, **options: Unpack[MaskingOptions]):
        super().__init__(model, **options)
        self.segments = cutter(segments)

    def _per_clip(self, clips):
        labels = checked_labels(self.segments(clips), tuple(clips.shape))
        return [np.broadcast_to(labels, clips.shape[:4])]

    def _compute_clip(self, clip, labels):
        segments = numbered(labels[0])
        found = self._play(Game(clip, segments))
        return found | {"segments": segments, "attribution": found["values"][segments]}

    @abstractmethod
    def _play(self, game: "Game") -> dict[str, np.ndarray]:
        """Returns `values`, float32 `(P,)`, and the other fields of the result type, float32 scalars."""


class Game:
    """A clip cut into segments, as a function from coalitions to scores.

    Args:
      clip: the clip.
      segments: int32 `(T, H, W)`, the segment of each voxel.

    Attributes:
      num_segments: P.
      full: the score of the whole clip.
    """

    def __init__(self, clip: MaskedClip, segments: np.ndarray):
        self.num_segments = int(segments.max()) + 1
        self.full = clip.score
        self._clip = clip
        self._segments = segments

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Returns the scores, float64 `(N,)`, of coalitions, bool `(N, P)`; True: the segment stays."""
        scores = [
            self._clip(coalitions[rows].astype(np.float32)[:, self._segments])
            for rows in self._clip.batches(len(coalitions))
        ]
        return np.concatenate(scores).astype(np.float64)
