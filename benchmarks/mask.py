"""A temporal mask, tfvid's ways beside a plain implementation of the published procedure: loss reached, and seconds.

    python benchmarks/mask.py             # short: about 8 minutes on 2 cores
    python benchmarks/mask.py --full      # all 300 steps at the paper's sizes too: half an hour a clip
    python benchmarks/mask.py --full --parts large --trained runs/i3d_224 runs/conv_lstm_224

Two parts. The small trained models explain moving shapes, many clips, every method to its end: which losses does it
reach? Then the models at the paper's sizes, on real clips where there are any: how long does it take? There the plain
loop is run for `--steps` steps and its time multiplied up to 300, unless --full. Their layers are random, with batch
norm fitted to the clips, and the classifier is fitted to tell the clips apart; or they are `--trained` models of moving
shapes, see docs/performance.md, which explain those.

The plain implementation is what one writes first: fp32, one clip at a time, frames frozen one after the other, the
model called as it is, Keras' Adam, a compiled step in a Python loop.
"""

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from machine import describe_machine  # noqa: E402

import tfvid  # noqa: E402
from tfvid.core.errors import command  # noqa: E402

STEPS, LENGTH, VARIATION, RATE = 300, 0.01, 0.02, 0.2
WAYS = {
    "gradient": {},
    "gradient, bf16": {"precision": "bfloat16"},
    "search": {"method": "search"},
    "search+gradient": {"method": "search+gradient"},
    "search+gradient, bf16": {"method": "search+gradient", "precision": "bfloat16"},
}
ROW = "{:24} {:>9} {:>9} {:>9} {:>10} {:>10} {:>8}".format
HEAD = ROW("", "s a clip", "spread", "times", "loss", "<= plain", "above")


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="moving shapes for the small models (%(default)s)")
    parser.add_argument("--large-clips", type=int, default=1, help="clips for the paper's sizes (%(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="steps timed at the paper's sizes (%(default)s)")
    parser.add_argument("--full", action="store_true", help="all 300 steps at the paper's sizes")
    parser.add_argument("--models", nargs="+", choices=("i3d", "conv_lstm"), default=["i3d", "conv_lstm"])
    parser.add_argument("--parts", nargs="+", choices=("small", "large"), default=["small", "large"])
    parser.add_argument("--trained", nargs="+", type=Path, help="models for the large part")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="beside plain (all)")
    args = parser.parse_args(argv)
    print(describe_machine())
    print("\ns a clip: mean; spread: standard deviation over clips; times: as fast as plain; loss: mean of Eq. 1;")
    print("<= plain: share of clips no higher than plain + 0.0005 (in brackets: + 0); above: furthest above plain\n")
    if "small" in args.parts:
        for name in args.models:
            small(name, args)
    if "large" in args.parts:
        for name in args.trained or args.models:
            large(name, args)


def small(name: str, args):
    """Every method to its end, for a small trained model."""
    model = tfvid.load_model(ROOT / "saved_models" / f"shapes_{name}")
    clips = shapes(args.clips, (64, 64))
    print(f"shapes_{name}, {args.clips} moving shapes of 16x64x64, every method to its end\n{HEAD}")
    plain(model, clips[:1], 1)
    losses, seconds = timed(lambda clip: plain(model, clip, STEPS), clips)
    row("plain", seconds, seconds, losses, losses)
    for way in args.ways:
        found, taken = timed_ours(model, clips, WAYS[way])
        row(way, taken, seconds, found, losses)
    print()


def large(name: str | Path, args):
    """The time of each method at the paper's sizes, and with --full the losses; by name, or of a trained model."""
    if isinstance(name, Path):
        model = tfvid.load_model(name)
        clips = shapes(args.large_clips, model.input_shape[2:4])
    else:
        clips = real_clips(max(args.large_clips, 20 if args.full else 8))
        model = fitted(name, clips)
        clips = clips[: args.large_clips]
    steps, size = STEPS if args.full else args.steps, "x".join(map(str, clips.shape[1:4]))
    print(f"{name}, {len(clips)} clips of {size}, {steps} of the {STEPS} steps of plain and gradient timed\n{HEAD}")
    plain(model, clips[:1], 1)
    _, start = timed(lambda clip: plain(model, clip, 0), clips)
    losses, seconds = timed(lambda clip: plain(model, clip, steps), clips)
    seconds = start + (seconds - start) * STEPS / steps
    row("plain", seconds, seconds, *[losses if args.full else None] * 2)
    for way in args.ways:
        if way in ("search", "gradient, bf16") and not args.full:  # a minute each
            continue
        options = WAYS[way]
        searches = "method" in options
        found, taken = timed_ours(model, clips, options, None if searches or args.full else steps)
        known = args.full or searches
        row(way, taken, seconds, found if known else None, losses if args.full else None)
    print()


def timed_ours(model, clips, options, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Losses and seconds of `TemporalMask`; of so many steps of the gradient only, their time multiplied up."""
    explain = tfvid.TemporalMask(model, batch_size=1, **options)

    def run(iterations):
        explain.iterations = iterations
        return timed(lambda clip: float(explain(clip).loss[0]), clips)

    whole = explain.iterations
    run(min(whole, 1))  # compiles
    if steps is None:
        return run(whole)
    _, start = run(0)
    losses, seconds = run(steps)
    return losses, start + (seconds - start) * whole / steps


def timed(work, clips) -> tuple[np.ndarray, np.ndarray]:
    """What `work` returns for each clip, and its seconds; it has to be compiled before."""
    results, seconds = [], []
    for i in range(len(clips)):
        start = time.perf_counter()
        results.append(work(clips[i : i + 1]))
        seconds.append(time.perf_counter() - start)
    return np.array(results), np.array(seconds)


def row(way: str, seconds, plain_seconds, losses=None, plain_losses=None):
    ratio = plain_seconds.mean() / seconds.mean()
    cells = [f"{seconds.mean():.2f}", f"{seconds.std():.2f}", f"{ratio:.1f}"]
    cells.append("" if losses is None else f"{losses.mean():.4f}")
    if losses is not None and plain_losses is not None:
        above = losses - plain_losses
        cells += [f"{np.mean(above <= 5e-4):.0%} ({np.mean(above <= 0):.0%})", f"{above.max():+.4f}"]
    else:
        cells += ["", ""]
    print(ROW(way, *cells), flush=True)


# The published procedure, plainly.


def plain(model, clip, steps: int) -> float:
    """Eq. 1 after so many Adam steps from the central window; `clip` is `(1, T, H, W, 3)`."""
    compiled = _compiled(model)
    clip = tf.constant(clip)
    score, num_frames = compiled["score"], clip.shape[1]
    target = tf.argmax(model(clip, training=False)[0])
    whole = score(clip, tf.zeros(num_frames), target)
    full = whole - score(clip, tf.ones(num_frames), target)
    start = np.ones(num_frames, np.float32)
    for off in range(1, num_frames // 2):
        window = np.zeros(num_frames, np.float32)
        window[off:-off] = 1
        if full > 0 and whole - score(clip, tf.constant(window), target) >= 0.9 * full:
            start = window
    r = compiled["r"]
    r.assign(np.where(start > 0.5, 5.0, -5.0))
    for variable in compiled["adam"].variables[2:]:  # the moments; the first two are the step and the learning rate
        variable.assign(tf.zeros_like(variable))
    compiled["adam"].iterations.assign(0)
    for _ in range(steps):
        compiled["step"](clip, target)
    return float(compiled["loss"](clip, tf.sigmoid(r), target))


_MODELS: dict[int, dict] = {}


def _compiled(model) -> dict:
    """The plain procedure's graphs for a model, made once."""
    if id(model) in _MODELS:
        return _MODELS[id(model)]
    r, adam = tf.Variable(tf.zeros(model.input_shape[1])), keras.optimizers.Adam(RATE)
    adam.build([r])

    def frozen(clip, mask):
        frames = [clip[:, 0]]
        for t in range(1, clip.shape[1]):
            frames.append((1 - mask[t]) * clip[:, t] + mask[t] * frames[-1])
        return tf.stack(frames, axis=1)

    @tf.function
    def score(clip, mask, target):
        return tf.nn.softmax(model(frozen(clip, mask), training=False))[0, target]

    @tf.function
    def loss(clip, mask, target):
        d = tf.abs(mask[1:] - mask[:-1]) ** 3
        variation = 2 * tf.reduce_sum(d) - d[0] - d[-1]
        return LENGTH * tf.reduce_sum(mask) + VARIATION * variation + score(clip, mask, target)

    @tf.function
    def step(clip, target):
        with tf.GradientTape() as tape:
            value = loss(clip, tf.sigmoid(r), target)
        adam.apply_gradients([(tape.gradient(value, r), r)])

    return _MODELS.setdefault(id(model), {"r": r, "adam": adam, "score": score, "loss": loss, "step": step})


# Clips and weights.


def shapes(count: int, size) -> np.ndarray:
    dataset = tfvid.load_dataset("shapes", "validation", num_frames=16, size=size, batch_size=count)
    return next(iter(dataset))["clip"].numpy()


def real_clips(count: int) -> np.ndarray:
    """Sample videos where they are, else moving shapes: float32 `(N, 16, 224, 224, 3)`."""
    folder = ROOT.parent / "shared" / "data" / "ssv2_sample"
    files = sorted(folder.rglob("*.webm"))[:count]
    if not files:
        print(f"no sample videos in {folder}: moving shapes instead")
        return shapes(count, (224, 224))
    return np.stack([tfvid.read_clip(file, 16, (224, 224)) for file in files])


def fitted(name: str, clips: np.ndarray) -> keras.Model:
    """A model of the paper's size whose classifier tells the clips apart."""
    keras.utils.set_random_seed(0)
    model = {"i3d": tfvid.I3D, "conv_lstm": tfvid.ConvLSTM}[name](174, 16, (224, 224))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(clips[:4], training=True)
    head = model.layers[-1]
    features = keras.Model(model.input, head.input)
    x = np.concatenate([features(clips[i : i + 4], training=False) for i in range(0, len(clips), 4)])
    middle = x.mean(axis=0)
    x = x - middle
    wanted = 8.0 * np.eye(len(clips), 174)  # ridge regression, from as many clips as there are
    gram = x @ x.T
    kernel = x.T @ np.linalg.solve(gram + 1e-2 * np.trace(gram) / len(x) * np.eye(len(x)), wanted)
    head.set_weights([kernel, -middle @ kernel])
    return model


if __name__ == "__main__":
    command(main)
