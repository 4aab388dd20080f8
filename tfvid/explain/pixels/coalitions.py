"""Scores of coalitions: a clip as a game whose players are its parts.

Players in the coalition stay, the others are filled, and the game's value is the score of what comes out. LIME and
Shapley values ask how much each player adds; they differ in which coalitions they ask about, and in what they make
of the answers.
"""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace

import numpy as np

from tfvid.explain.pixels.masking import MaskedClip, MaskingExplainer, MaskingResult
from tfvid.explain.pixels.segments import checked_labels, cutter, numbered


@dataclass(frozen=True)
class PlayersResult(MaskingResult):
    """The value of each player, and the map in which every voxel has its player's value.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of `target` for the whole clip: its probability, or its logit where that was asked for.
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, versions of this clip that the model saw.
      values: float32 `(B, P)`, signed, P the most players a clip has; 0 beyond a clip's last.
      segments: int32 `(B, T, H, W)`, the player of each voxel, 0 to P - 1, in the order of the labels given.
    """

    values: np.ndarray
    segments: np.ndarray

    @classmethod
    def join(cls, parts):
        """As `Explanation.join`; clips may have different numbers of players, as with supervoxels."""
        most = max(part.values.shape[1] for part in parts)
        wide = [replace(part, values=np.pad(part.values, ((0, 0), (0, most - part.values.shape[1])))) for part in parts]
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in wide]) for f in fields(cls)})


class PlayersExplainer(MaskingExplainer):
    """What explainers by coalitions share; each says in `_play` what it asks and what it makes of the answers.

    Args:
      model: a Keras model or any callable, see `Explainer`.
      players: "frames"; three whole numbers, as many grid cells along (T, H, W); "supervoxels"; labels, whole numbers
        `(T, H, W)` or `(1, T, H, W)` for every clip, or `(B, T, H, W)` for B clips at a time, voxels of one label being
        one player; or a function from clips to such labels. See `tfvid.explain.pixels.segments`.
      fill, score, progress, output, input_range, batch_size: see `MaskingExplainer`.
    """

    result_type = PlayersResult

    def __init__(self, model, players, **options):
        super().__init__(model, **options)
        self.players = cutter(players)

    def _per_clip(self, clips):
        labels = checked_labels(self.players(clips), tuple(clips.shape))
        return [np.broadcast_to(labels, clips.shape[:4])]

    def _compute_clip(self, clip, labels):
        segments = numbered(labels[0])
        found = self._play(Game(clip, segments))
        return found | {"segments": segments, "attribution": found["values"][segments]}

    @abstractmethod
    def _play(self, game: "Game") -> dict[str, np.ndarray]:
        """`values`, float32 `(P,)`, and what else the result type holds, float32 scalars."""


class Game:
    """A clip cut into players.

    Args:
      clip: the clip.
      segments: int32 `(T, H, W)`, the player of each voxel.

    Attributes:
      num_players: P.
      full: the score of the whole clip.
    """

    def __init__(self, clip: MaskedClip, segments: np.ndarray):
        self.num_players = int(segments.max()) + 1
        self.full = clip.score
        self._clip = clip
        self._segments = segments

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """The scores of coalitions, bool `(N, P)`, true = the player stays: float64 `(N,)`."""
        scores = [
            self._clip(coalitions[rows].astype(np.float32)[:, self._segments])
            for rows in self._clip.batches(len(coalitions))
        ]
        return np.concatenate(scores).astype(np.float64)
