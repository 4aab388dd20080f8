"""Networks with a planted truth: their weights are set by hand, and the decision depends on one tube and nothing else.

A tube is a box in some frames. Features of each voxel are summed inside the tube and ignored outside it. Features of a
3 x 3 x 3 convolution see one voxel further, so `Planted.reach` is the tube and what its features see. A map is wrong
where it shows something outside the reach.

    python -m tfvid.experiments.attribution.planted        writes the table of all methods
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from tfvid.core.errors import TfvidError
from tfvid.experiments.attribution.methods import as_map
from tfvid.explain import EXPLAINERS, explainer
from tfvid.metrics.checks import checked_maps
from tfvid.report.markdown import markdown_table, plain

SHAPE = (8, 16, 16, 3)
TUBE = ((2, 5), (3, 9), (6, 12))  # [start, stop) of frames, rows and columns
FEATURES = 4
CLASSES = 2


@dataclass(frozen=True)
class Planted:
    """A network and where it can look.

    Attributes:
      model: a Keras model from clips `(B, T, H, W, C)` to logits `(B, 2)`.
      reach: bool `(T, H, W)`, the voxels that can change the logits.
    """

    model: keras.Model
    reach: np.ndarray


def planted(kind: str, shape: tuple = SHAPE, tube: tuple = TUBE, seed: int = 0) -> Planted:
    """Builds a network whose decision depends on a tube alone.

    Args:
      kind: one of `NETWORKS`.
      shape: `(T, H, W, C)` of the clips.
      tube: [start, stop) of frames, of rows and of columns.
      seed: of the weights of the features and of the classes inside the tube.

    Raises:
      TfvidError: an unknown kind, or a tube that does not lie in the clip.
    """
    if kind not in NETWORKS:
        raise TfvidError(f"unknown planted network {kind!r}; valid: {', '.join(NETWORKS)}")
    if any(not 0 <= start < stop <= size for (start, stop), size in zip(tube, shape, strict=False)):
        raise TfvidError(f"tube: expected 0 <= start < stop <= {shape[:3]}, got {tube}")
    features, margins = NETWORKS[kind]
    rng = np.random.default_rng(seed)
    inputs = keras.Input(shape)
    seen = features(inputs, rng)
    head = layers.Dense(CLASSES, name="head")
    model = keras.Model(inputs, head(layers.Flatten()(seen)), name=f"planted_{kind}")
    inside = _box(shape[:3], tube, (0, 0, 0))
    kernel = rng.uniform(0.5, 1, (*shape[:3], FEATURES, CLASSES)) * np.array([1, -1]) / inside.sum()
    head.set_weights([(kernel * inside[..., None, None]).reshape(-1, CLASSES), np.zeros(CLASSES)])
    return Planted(model, _box(shape[:3], tube, margins))


def _box(shape: Sequence[int], tube: Sequence, margins: Sequence[int]) -> np.ndarray:
    """Returns the voxels of a tube that is larger by `margins` on each side: bool `(T, H, W)`."""
    inside = np.zeros(tuple(shape), bool)
    slices = [slice(max(a - more, 0), b + more) for (a, b), more in zip(tube, margins, strict=True)]
    inside[tuple(slices)] = True
    return inside


def _conv3d(inputs, rng):
    conv = layers.Conv3D(FEATURES, 3, padding="same", activation="relu", name="features")
    seen = conv(inputs)
    conv.set_weights([rng.uniform(0, 0.1, conv.kernel.shape), np.zeros(FEATURES)])
    return seen


def _frame_cnn(inputs, rng):
    conv = layers.Conv2D(FEATURES, 3, padding="same", activation="relu", name="features")
    seen = layers.TimeDistributed(conv, name="frames")(inputs)
    conv.set_weights([rng.uniform(0, 0.1, conv.kernel.shape), np.zeros(FEATURES)])
    return seen


def _conv_lstm(inputs, rng):
    """A ConvLSTM2D that forgets at once: its hard forget gate is exactly 0, and its state does not enter the gates."""
    lstm = layers.ConvLSTM2D(
        FEATURES, 3, padding="same", return_sequences=True, recurrent_activation="hard_sigmoid", name="features"
    )
    seen = lstm(inputs)
    kernel, recurrent, bias = (np.zeros(weight.shape) for weight in lstm.weights)
    kernel[..., 2 * FEATURES : 3 * FEATURES] = rng.uniform(0, 0.1, (*kernel.shape[:3], FEATURES))  # the candidates
    bias[:FEATURES] = bias[3 * FEATURES :] = 10  # input and output gates are open
    bias[FEATURES : 2 * FEATURES] = -10
    lstm.set_weights([kernel, recurrent, bias])
    return seen


# By kind: the features, and by how many frames, rows and columns they see further than their own voxel.
NETWORKS: dict[str, tuple[Callable, tuple[int, int, int]]] = {
    "conv3d": (_conv3d, (1, 1, 1)),
    "frame_cnn": (_frame_cnn, (0, 1, 1)),
    "conv_lstm": (_conv_lstm, (0, 1, 1)),
}


def outside_energy(maps, reach: np.ndarray) -> np.ndarray:
    """Returns the share of the absolute values of each map that lies where the network cannot look.

    Args:
      maps: `(B, T, H, W)`.
      reach: bool `(T, H, W)`, see `Planted`.

    Returns:
      Float32 `(B,)` in [0, 1], smaller is better; NaN for a map of zeros.
    """
    size = np.abs(checked_maps(maps).astype(np.float64))
    total = size.sum(axis=(1, 2, 3))
    outside = (size * ~reach).sum(axis=(1, 2, 3))
    return np.divide(outside, total, out=np.full(len(size), np.nan), where=total > 0).astype(np.float32)


def table(clips: int = 2, seed: int = 0, names: Sequence[str] | None = None) -> str:
    """Returns a Markdown table: the mean share of energy of each method where each network cannot look.

    Args:
      clips: the number of random clips.
      seed: of the clips.
      names: of the methods; None: all registered methods, with their default options.
    """
    shown = np.random.default_rng(seed).random((clips, *SHAPE), np.float32)
    networks = {kind: planted(kind) for kind in NETWORKS}
    rows = []
    for name in names or EXPLAINERS:
        row = [plain(name)]
        for network in networks.values():
            try:
                maps = as_map(explainer(name, network.model)(shown, 0), shown.shape)
                row.append(f"{outside_energy(maps, network.reach).mean():.2f}")
            except TfvidError:
                row.append("–")
        rows.append(row)
    share = " and ".join(f"{1 - n.reach.mean():.2f} ({kind})" for kind, n in networks.items())
    return markdown_table(["method", *map(plain, networks)], rows) + f"\n\nA constant map has {share}."


if __name__ == "__main__":
    print(table())
