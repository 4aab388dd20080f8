"""LIME over the parts of a clip: a linear model of the score near the clip.

Random coalitions z of players are scored, and a linear model is fitted to the scores, the nearer to the whole clip the
better:

    minimise over b, w:   sum_z  pi(z) (y_c(z) - b - w.z)^2  +  ridge |w|^2
    pi(z) = exp(-D(z, 1)^2 / width^2),     D the cosine distance to the whole clip: 1 - sqrt(share of players in z)

w is each player's value. Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016, section 3.4 and algorithm 1.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.explain.pixels.coalitions import PlayersExplainer, PlayersResult


@dataclass(frozen=True)
class LIMEResult(PlayersResult):
    """The linear model's weights.

    Attributes:
      target: int32 `(B,)`, the class explained.
      predicted: int32 `(B,)`, the model's top class.
      score: float32 `(B,)`, of `target` for the whole clip: its probability, or its logit where that was asked for.
      attribution: float32 `(B, T, H, W)`, signed.
      forward_passes: int32 `(B,)`, versions of this clip that the model saw.
      values: float32 `(B, P)`, signed, the weights w, 0 beyond a clip's last player.
      segments: int32 `(B, T, H, W)`, the player of each voxel.
      intercept: float32 `(B,)`, b.
      fit: float32 `(B,)`, the weighted R^2: the share of the scores' variance that the linear model tells, at most 1.
        Near 0 its weights say little.
    """

    intercept: np.ndarray
    fit: np.ndarray


class LIME(PlayersExplainer):
    """LIME. All players get a weight; the paper's choice of a few of them (K-lasso) is left to the reader.

    Args:
      model: a Keras model or any callable, see `Explainer`.
      players: see `PlayersExplainer`; a grid of 4 x 4 x 4 cells by default.
      samples: coalitions, the first of which is the whole clip; in the others each player stays with a chance of 1/2.
      width: of the kernel pi; .25, as in the authors' code for images, whose kernel is the root of this one.
      ridge: the penalty, >= 0; 1, as in the authors' code. 0 is least squares.
      seed: of the coalitions.
      fill: what players who go are replaced by, see `MaskingExplainer`. The authors fill each with its own mean
        colour, which leaves still parts and plain ones as they are.
      score: "probability" or "logit".
      progress: see `MaskingExplainer`.
      output: see `Explainer`.
      input_range: see `Explainer`.
      batch_size: see `MaskingExplainer`.

    Example:
      >>> result = LIME(model, players="frames", samples=200)(clips)
      >>> result.values.shape
      (2, 16)
    """

    result_type = LIMEResult

    def __init__(
        self,
        model,
        players=(4, 4, 4),
        *,
        samples: int = 1000,
        width: float = 0.25,
        ridge: float = 1.0,
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
        if samples < 2 or width <= 0 or ridge < 0:
            raise TfvidError(f"expected samples >= 2, width > 0, ridge >= 0; got {samples}, {width}, {ridge}")
        self.samples = samples
        self.width = width
        self.ridge = ridge
        self.seed = seed

    def _play(self, game):
        z = draw(self.samples, game.num_players, self.seed)
        w, b, fit = weighted_ridge(z, game(z), nearness(z, self.width), self.ridge)
        return {"values": w.astype(np.float32), "intercept": np.float32(b), "fit": np.float32(fit)}


def draw(samples: int, players: int, seed: int) -> np.ndarray:
    """Coalitions, bool `(samples, players)`: all players, then each with a chance of 1/2."""
    z = tf.random.stateless_uniform((samples, players), (seed, 0)).numpy() < 0.5
    z[0] = True
    return z


def nearness(z: np.ndarray, width: float) -> np.ndarray:
    """pi, the weight of each coalition `(N, P)`: `(N,)`, 1 for the one of all players."""
    distance = 1 - np.sqrt(z.mean(axis=1))  # cos(z, 1) = |z| / (sqrt |z| sqrt P); none at all is at distance 1
    return np.exp(-((distance / width) ** 2))


def weighted_ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> tuple[np.ndarray, float, float]:
    """The linear model ``b + x.w`` nearest to y, the intercept not penalised.

    Args:
      x: `(N, P)`.
      y: `(N,)`.
      weight: `(N,)`, > 0.
      ridge: >= 0; where it is 0 and several w fit, the shortest is taken.

    Returns:
      w `(P,)`, b, and the weighted R^2 (1 where y is constant).
    """
    mean_x, mean_y = np.average(x, axis=0, weights=weight), np.average(y, weights=weight)
    root = np.sqrt(weight)
    rows = root[:, np.newaxis] * (x - mean_x)
    penalty = np.sqrt(ridge) * np.eye(x.shape[1])  # least squares with as many more rows
    w = np.linalg.lstsq(np.vstack([rows, penalty]), np.append(root * (y - mean_y), np.zeros(x.shape[1])), rcond=None)[0]
    left = np.sum((root * (y - mean_y) - rows @ w) ** 2)
    variance = np.sum((root * (y - mean_y)) ** 2)
    return w, mean_y - mean_x @ w, 1 - left / variance if variance > 0 else 1.0
