"""Scores of coalitions: a clip as a game whose segments are its parts.

Segments in the coalition stay, the others are filled, and the game's value is the score of what comes out. LIME and
Shapley values ask how much each segment adds; they differ in which coalitions they ask about, and in what they make
of the answers.
"""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Unpack

import numpy as np

from tfvid.explain.pixels.masking import MaskedClip, MaskingExplainer, MaskingOptions, MaskingResult
from tfvid.explain.pixels.segments import checked_labels, cutter, numbered


@dataclass(frozen=True)
class SegmentsResult(MaskingResult):
    """The value of each segment, and the map in which every voxel has its segment's value.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of `target` for the whole clip: its probability, or its logit where that was asked for.
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, versions of this clip that the model saw.
      values: float32 `(B, P)`, signed, P the most segments a clip has; 0 beyond a clip's last.
      segments: int32 `(B, T, H, W)`, the segment of each voxel, 0 to P - 1, in the order of the labels given.
    """

    values: np.ndarray
    segments: np.ndarray

    @classmethod
    def join(cls, parts):
        """As `Explanation.join`; clips may have different numbers of segments, as with supervoxels."""
        most = max(part.values.shape[1] for part in parts)
        wide = [replace(part, values=np.pad(part.values, ((0, 0), (0, most - part.values.shape[1])))) for part in parts]
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in wide]) for f in fields(cls)})


class SegmentsExplainer(MaskingExplainer):
    """What explainers by coalitions share; each says in `_play` what it asks and what it makes of the answers.

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
      output: what the model returns: "logits", "probabilities", or "auto", which reads it from the last layer or the
        scores.
      input_range: the values (low, high) that the model takes for black and white, e.g. (0, 255); clips in [0, 1] are
        scaled to them. None: the model gets clips unchanged. "auto": the range that was declared (`tfvid.declare`, a
        model card), or else the range that the model's first layers say.
      batch_size: the number of masked versions of a clip that the model gets at a time, 1 or more. It bounds memory and
        does not change results.
    """

    result_type = SegmentsResult

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
        """`values`, float32 `(P,)`, and what else the result type holds, float32 scalars."""


class Game:
    """A clip cut into segments.

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
        """The scores of coalitions, bool `(N, P)`, true = the segment stays: float64 `(N,)`."""
        scores = [
            self._clip(coalitions[rows].astype(np.float32)[:, self._segments])
            for rows in self._clip.batches(len(coalitions))
        ]
        return np.concatenate(scores).astype(np.float64)
