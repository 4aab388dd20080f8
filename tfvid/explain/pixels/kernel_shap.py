"""Kernel SHAP: Shapley values as a weighted least-squares fit, of some coalitions where there are too many.

    minimise over phi:   sum_z  k(z) (v(z) - v(none) - phi.z)^2     subject to   sum phi = v(all) - v(none)
    k(z) = (P - 1) / ( C(P, |z|) |z| (P - |z|) )

Lundberg & Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017, theorem 2. With all coalitions the
minimum is the Shapley values. With some of them it is an estimate: sizes whose coalitions all fit into the samples are
asked in full, the smallest and largest first, as they weigh most; of the other sizes coalitions are drawn, each with
its complement (Covert & Lee, "Improving KernelSHAP", AISTATS 2021, section 4.2, show that pairs lower the variance).
"""

from itertools import combinations
from math import comb

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import PlayersExplainer
from tfvid.explain.pixels.shapley import ShapleyResult, all_coalitions


class KernelSHAP(PlayersExplainer):
    """Kernel SHAP. Its values sum to ``score - base_score`` whatever the samples, as a `ShapleyResult`'s do.

    Args:
      model: a Keras model or any callable, see `Explainer`.
      players: see `PlayersExplainer`; a grid of 4 x 4 x 4 cells by default.
      samples: coalitions asked, besides that of all players and that of none; all 2^P - 2 where they are no more.
        Those drawn twice are asked once. At least two for each player make the values well determined.
      seed: of the draws.
      fill: what players who go are replaced by, see `MaskingExplainer`.
      score: "probability" or "logit".
      progress: see `MaskingExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `MaskingExplainer`.

    Example:
      >>> result = KernelSHAP(model, players="frames", samples=500)(clips)
      >>> result.values.shape
      (2, 16)
    """

    result_type = ShapleyResult

    def __init__(
        self,
        model,
        players=(4, 4, 4),
        *,
        samples: int = 2048,
        seed: int = 0,
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
        if samples < 2:
            raise TfvidError(f"expected samples >= 2, got {samples}")
        self.samples = samples
        self.seed = seed

    def _play(self, game):
        z, weight = weighted_coalitions(game.num_players, self.samples, self.seed)
        v = game(np.vstack([np.zeros((1, game.num_players), bool), z]))
        values = constrained_fit(z, v[1:] - v[0], weight, game.full - v[0])
        return {"values": values.astype(np.float32), "base_score": np.float32(v[0])}


def weighted_coalitions(players: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The coalitions to ask, and what each counts.

    Args:
      players: P.
      samples: at most so many, >= 2.
      seed: of the draws.

    Returns:
      bool `(N, P)`, no two alike, neither empty nor full, and float64 `(N,)`, which sum to 1; N <= `samples`.
    """
    if 2**players - 2 <= samples:
        z = all_coalitions(players)[1:-1]
        size = z.sum(axis=1)
        weight = 1 / (np.array([comb(players, k) for k in size]) * size * (players - size))
        return z, weight / weight.sum()

    size = np.arange(1, players)
    share = 1 / (size * (players - size))  # the kernel's weight of all coalitions of a size together
    share /= share.sum()
    rows, weights, left, k = [], [], samples, 1
    while k < players - k:  # sizes k and P - k, while samples drawn by share would be more than there are coalitions
        number, rest = comb(players, k), share[k - 1 : players - k]
        if left * share[k - 1] / rest.sum() < number:
            break
        chosen = np.array(list(combinations(range(players), k)))
        z = np.zeros((number, players), bool)
        np.put_along_axis(z, chosen, True, axis=1)
        rows += [z, ~z]
        weights += [np.full(2 * number, share[k - 1] / number)]
        left, k = left - 2 * number, k + 1

    rest = share[k - 1 : players - k]
    drawn = _drawn(left // 2, players, size[k - 1 : players - k], rest / rest.sum(), seed)
    z, times = np.unique(np.vstack([drawn, ~drawn]), axis=0, return_counts=True)
    return np.vstack([*rows, z]), np.concatenate([*weights, rest.sum() * times / times.sum()])


def _drawn(number: int, players: int, sizes: np.ndarray, share: np.ndarray, seed: int) -> np.ndarray:
    """Coalitions at random, bool `(number, players)`: a size by its share, then players of that number."""
    size = sizes[np.searchsorted(np.cumsum(share)[:-1], tf.random.stateless_uniform((number,), (seed, 0)).numpy())]
    rank = tf.random.stateless_uniform((number, players), (seed, 1)).numpy().argsort(axis=1).argsort(axis=1)
    return rank < size[:, np.newaxis]


def constrained_fit(z: np.ndarray, v: np.ndarray, weight: np.ndarray, total: float) -> np.ndarray:
    """The phi that sum to `total` and fit ``phi.z = v`` best.

    phi is `total` in equal shares plus a u that sums to zero. For such a u, z and z less its mean are the same; and the
    shortest u that fits the latter does sum to zero.

    Args:
      z: bool `(N, P)`.
      v: `(N,)`, less the empty coalition's.
      weight: `(N,)`, >= 0.
      total: v of all players, less the empty coalition's.

    Returns:
      float64 `(P,)`.
    """
    share = z.mean(axis=1, keepdims=True)
    root = np.sqrt(weight)
    u = np.linalg.lstsq(root[:, np.newaxis] * (z - share), root * (v - total * share[:, 0]), rcond=None)[0]
    return total / z.shape[1] + u
