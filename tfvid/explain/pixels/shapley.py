"""Shapley values, exactly: what each part of a clip adds to the score, averaged over all orders of arrival.

    phi_i = sum over the coalitions S without i of   |S|! (P - |S| - 1)! / P!   (v(S + i) - v(S))

v(S) is the score of the clip with all players but those in S filled. The values sum to v(all) - v(none), players that
change nothing get 0, players that are alike get alike, and the values of a sum of games are the sums of their values;
no others do all four (Shapley, "A Value for n-Person Games", 1953). All 2^P coalitions are scored.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import PlayersExplainer, PlayersResult

MOST_PLAYERS = 12  # 4096 coalitions


@dataclass(frozen=True)
class ShapleyResult(PlayersResult):
    """Shapley values.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of `target` for the whole clip: its probability, or its logit where that was asked for.
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, versions of this clip that the model saw.
      values: float32 `(B, P)`, signed, 0 beyond a clip's last player; they sum to ``score - base_score``.
      segments: int32 `(B, T, H, W)`, the player of each voxel.
      base_score: float32 `(B,)`, the score with every player filled.
    """

    base_score: np.ndarray


class Shapley(PlayersExplainer):
    """Exact Shapley values of at most twelve players; `KernelSHAP` estimates those of more.

    Args:
      model: a Keras model or any callable, see `Explainer`.
      players: see `PlayersExplainer`; a grid of 3 x 2 x 2 cells by default, twelve players.
      fill: what players who go are replaced by, see `MaskingExplainer`.
      score: "probability" or "logit".
      progress: see `MaskingExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `MaskingExplainer`.

    Raises:
      TfvidError: more than twelve players.

    Example:
      >>> result = Shapley(model, players=(8, 1, 1))(clips)
      >>> np.allclose(result.values.sum(-1), result.score - result.base_score, atol=1e-5)
      True
    """

    result_type = ShapleyResult

    def __init__(
        self,
        model,
        players=(3, 2, 2),
        *,
        fill="blur",
        score: str = "probability",
        progress: bool = True,
        output: str = "auto",
        input_range="auto",
        batch_size: int = 8,
    ):
        super().__init__(
            model,
            players,
            fill=fill,
            score=score,
            progress=progress,
            output=output,
            input_range=input_range,
            batch_size=batch_size,
        )

    def _play(self, game):
        if game.num_players > MOST_PLAYERS:
            raise TfvidError(
                f"shapley: expected at most {MOST_PLAYERS} players, got {game.num_players}, and thus "
                f"2^{game.num_players} coalitions; use kernel_shap, or fewer players"
            )
        v = game(all_coalitions(game.num_players))
        return {"values": shapley_values(v).astype(np.float32), "base_score": np.float32(v[0])}


def all_coalitions(players: int) -> np.ndarray:
    """Every coalition, bool `(2^P, P)`: row s has player i where bit i of s is set."""
    return (np.arange(2**players)[:, np.newaxis] >> np.arange(players)) % 2 == 1


def shapley_values(v: np.ndarray) -> np.ndarray:
    """The Shapley values `(P,)` of a game, given v of `all_coalitions` in their order, `(2^P,)`."""
    num_players = len(v).bit_length() - 1
    s = np.arange(len(v))
    size = all_coalitions(num_players).sum(axis=1)
    orders = np.array([1 / (num_players * comb(num_players - 1, k)) for k in range(num_players)])
    values = []
    for i in range(num_players):
        without = s[(s >> i) % 2 == 0]
        values.append(np.sum(orders[size[without]] * (v[without + 2**i] - v[without])))
    return np.array(values)
