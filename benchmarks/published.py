"""Published code against tfvid's defaults on the moving shapes, whose objects' boxes are known.

    python benchmarks/published.py                                    # the small I3D, 10 clips, some ten minutes
    python benchmarks/published.py --model saved_models/shapes_conv_lstm --parts grad_cam rise

For each method one row a setting: the share of the map within the boxes of the frames that have one, less its minimum
for RISE, and the correlation with tfvid's default. For masks of a given area also the area that they have. The true
class is explained. docs/methods.md says what was found.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
from machine import describe_machine  # noqa: E402

import tfvid  # noqa: E402
from tfvid.core.errors import command  # noqa: E402
from tfvid.data.sources.shapes import MovingShapes  # noqa: E402
from tfvid.metrics.localization import energy_in_boxes, inside_boxes  # noqa: E402

MASKS = ("extremal_perturbation", "extremal_perturbation_3d", "step")
PARTS = (*MASKS, "grad_cam", "rise")
FRAMES, SIZE = 16, (64, 64)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "saved_models" / "shapes_i3d"), help="(%(default)s)")
    parser.add_argument("--clips", type=int, default=10, help="validation clips with boxes (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="(all)")
    parser.add_argument("--area", type=float, default=0.1, help="of the learned masks (%(default)s)")
    parser.add_argument("--iterations", type=int, default=50, help="of the learned masks (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.5, help="of the learned masks (%(default)s)")
    parser.add_argument("--masks", type=int, default=400, help="of RISE (%(default)s)")
    args = parser.parse_args(argv)
    print(describe_machine(), end="\n\n")

    model = tfvid.load_model(args.model)
    clips, boxes, labels = shapes_with_boxes(args.clips)
    even = energy_in_boxes(np.ones(clips.shape[:-1]), boxes).mean()
    print(f"{len(clips)} clips; an even map has {even:.3f} of itself in the boxes")
    for part in args.parts:
        compare(part, model, clips, boxes, labels, args)


def compare(part, model, clips, boxes, labels, args):
    """Prints a row a setting of one method."""
    first = None
    for options in settings(part, args):
        result = tfvid.explainer(part, model, batch_size=len(clips), **options)(clips, labels)
        maps = result.attribution
        if part == "rise":
            maps = maps - maps.min(axis=(1, 2, 3), keepdims=True)
        first = maps if first is None else first
        row = f"{part} {shown(options)}: energy in boxes {energy_in_boxes(maps, boxes).mean():.3f}"
        if part in MASKS:
            within = (maps * inside_boxes(boxes, *SIZE)).sum(axis=(1, 2, 3)) / maps.sum(axis=(1, 2, 3))
            row += f", of the whole mask {within.mean():.3f}, area {maps.mean():.3f}"
        print(f"{row}, correlation with the first {np.nanmedian(correlations(first, maps)):.3f}", flush=True)


def settings(part: str, args) -> list[dict]:
    """The options of each row of a method, tfvid's default first."""
    if part == "rise":
        common = {"masks": args.masks, "progress": False}
        return [common | {"border": border, "seed": seed} for border, seed in (("hold", 0), ("mirror", 0), ("hold", 1))]
    if part == "grad_cam":
        return [{}, {"score": "probability"}, {"normalize": "clip_range"}, {"pool": "clip", "score": "probability"}]
    common = {"areas": (args.area,), "iterations": args.iterations, "learning_rate": args.learning_rate}
    if part == "step":
        common["core_after"] = args.iterations * 2 // 5
    return [common | {"weights": weights} for weights in ("tfvid", "published")]


def shown(options: dict) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items()) or "default"


def correlations(these: np.ndarray, others: np.ndarray) -> list[float]:
    """Pearson's, clip by clip; NaN where a map is flat."""
    pairs = zip(these, others, strict=True)
    return [np.corrcoef(a.ravel(), b.ravel())[0, 1] if a.std() and b.std() else np.nan for a, b in pairs]


def shapes_with_boxes(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first validation clips whose objects have boxes: clips, boxes and labels."""
    shapes, found = MovingShapes(), []
    for sample in shapes.samples("validation"):
        clip = shapes.read(sample, FRAMES, SIZE)
        if not np.isnan(clip.boxes).all():
            found.append((clip.frames.astype(np.float32) / 255, clip.boxes, sample.label))
        if len(found) == count:
            break
    clips, boxes, labels = zip(*found, strict=True)
    return np.stack(clips), np.stack(boxes), np.array(labels)


if __name__ == "__main__":
    command(main)
