"""Whether a process that explains clips all night grows: memory, Python objects, traced functions, files, threads.

    python benchmarks/soak.py                            # 5,000 clips by each of the methods
    python benchmarks/soak.py --clips 200 --anew         # an explainer made anew for every batch

Every method of `tfvid.explain.EXPLAINERS` with its defaults, but for fewer masks and steps (`FEWER`: they repeat within
one call what the calls repeat here), on a small network with random weights and clips of 4 frames of 8x8 pixels, one
batch after the other, the methods in turn. The slopes are least squares over the second half of the clips.
"""

import argparse
import gc
import os
import sys
import threading
from inspect import signature
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402
from machine import describe_machine  # noqa: E402

from tfvid.core.errors import TfvidError, command  # noqa: E402
from tfvid.explain import EXPLAINERS, explainer  # noqa: E402
from tfvid.network.compiled import Compiled  # noqa: E402

SHAPE = (4, 8, 8, 3)
FEWER = {
    "temporal_mask": {"iterations": 5},
    "smooth_grad": {"samples": 3},
    "smooth_grad_squared": {"samples": 3},
    "var_grad": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "blur_ig": {"steps": 4},
    "meaningful_perturbation": {"iterations": 3},
    "extremal_perturbation": {"iterations": 3},
    "extremal_perturbation_3d": {"iterations": 3},
    "step": {"iterations": 3, "core_after": 1},
    "occlusion": {"unit": "frame"},
    "rise": {"masks": 16},
    "lime": {"samples": 32},
    "shapley": {"segments": (2, 2, 1)},
    "kernel_shap": {"segments": (2, 2, 2), "samples": 32},
}
COUNTED = ("memory KB", "objects", "traces", "files", "threads")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=5000, help="explained by each method (%(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="clips a call (%(default)s)")
    parser.add_argument("--methods", nargs="+", metavar="NAME", default=list(EXPLAINERS), help="(all)")
    parser.add_argument("--anew", action="store_true", help="make the explainers anew for every batch")
    args = parser.parse_args(argv)
    batches, every = args.clips // args.batch, max(args.clips // args.batch // 20, 1)
    if batches < 2:
        raise TfvidError(f"--clips must be 2 batches of {args.batch} or more, got {args.clips}")
    print(describe_machine(), f"methods     {len(args.methods)}", sep="\n", end="\n\n")
    print("  clips", *(f"{name:>10}" for name in COUNTED))
    rows = []
    for done, counts in soak(args.methods, batches, args.batch, args.anew):
        if done == 1 or done % every == 0:
            rows.append((done * args.batch, *counts))
            print(f"{rows[-1][0]:7}", *(f"{count:10}" for count in counts), flush=True)
    print("\nfor every 1,000 clips, over the second half of them")
    for name, slope in slopes(rows).items():
        print(f"{name:>10} {slope:+10.1f}")


def soak(methods, batches: int, batch: int, anew: bool = False):
    """Explains `batches` batches by each method; yields the batches done and the `COUNTED` numbers after each."""
    keras.utils.set_random_seed(0)
    model = small_model()
    rng = np.random.default_rng(0)
    explainers = []
    for number in range(1, batches + 1):
        if anew or not explainers:
            explainers = [made(name, model) for name in methods]
        clips = rng.random((batch, *SHAPE), np.float32)
        for explain in explainers:
            explain(clips)
        yield number, counted(explainers)


def made(name: str, model):
    """The explainer called `name`, quiet, all clips of a batch at a time."""
    quiet = {"progress": False} if "progress" in signature(EXPLAINERS.find(name)).parameters else {}
    return explainer(name, model, **FEWER.get(name, {}), **quiet, batch_size=64)


def small_model() -> keras.Model:
    """A network that all methods can explain: Saliency Tubes needs a mean over time and space before the last layer."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv3D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.BatchNormalization()(layers.MaxPooling3D((1, 2, 2))(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling3D()(x)))


def counted(explainers) -> tuple[int, ...]:
    """The `COUNTED` numbers of this process, after garbage collection; files and threads as Linux counts them."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        len(gc.get_objects()),
        sum(part.traces for explain in explainers for part in vars(explain).values() if isinstance(part, Compiled)),
        len(os.listdir("/proc/self/fd")),
        max(len(os.listdir("/proc/self/task")), threading.active_count()),
    )


def slopes(rows: list[tuple[int, ...]]) -> dict[str, float]:
    """Growth of each of `COUNTED` for every 1,000 clips over the second half of `rows`, (clips, counts...)."""
    late = np.array(rows[len(rows) // 2 :], float)
    if len(late) < 2:
        late = np.array(rows, float)
    return {name: 1000 * np.polyfit(late[:, 0], late[:, i], 1)[0] for i, name in enumerate(COUNTED, start=1)}


if __name__ == "__main__":
    command(main)
