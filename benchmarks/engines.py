"""One I3D on several engines: TensorFlow with oneDNN on and off, ONNX Runtime, OpenVINO. Same weights, same clip.

    pip install -e '.[bench]'                          # ONNX Runtime, OpenVINO and the converter
    python benchmarks/engines.py                       # about 5 minutes
    python benchmarks/engines.py --threads 1 --size 112

Each engine runs in a process of its own, since TensorFlow reads `TF_ENABLE_ONEDNN_OPTS` when it loads; the engines take
turns. A row has the median of all forward passes of one clip after a warm-up, wall and CPU seconds, the fastest and the
slowest wall time, and the largest difference of a logit to TensorFlow's with oneDNN on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

from tfvid.core.errors import TfvidError, command  # noqa: E402
from tfvid.network.onednn import VARIABLE  # noqa: E402

ENGINES = {
    "TensorFlow, oneDNN on": ("tensorflow", {VARIABLE: "1"}),
    "TensorFlow, oneDNN off": ("tensorflow", {VARIABLE: "0"}),
    "ONNX Runtime": ("onnxruntime", {}),
    "OpenVINO": ("openvino", {}),
}
ROW = "{:24} {:>7} {:>8} {:>8} {:>15} {:>12}".format


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=224, help="height and width, pixels")
    parser.add_argument("--runs", type=int, default=5, help="timed forward passes of a turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each engine (%(default)s)")
    parser.add_argument("--child", nargs=2, metavar=("ENGINE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(forward_passes(*args.child, args.threads[0], args.frames, args.size, args.runs)))
        return
    from machine import describe_machine

    print(describe_machine())
    print(f"\nI3D of 174 classes, one clip of {args.frames}x{args.size}x{args.size}, float32, seconds a forward pass\n")
    print(ROW("", "threads", "wall", "CPU", "fastest-slowest", "logits differ"))
    with TemporaryDirectory() as folder:
        save_model(Path(folder), args)
        for threads in args.threads:
            compare(threads, folder, args)


def save_model(folder: Path, args):
    """The model as a SavedModel, which OpenVINO reads, and as ONNX; and the clip."""
    import keras

    import tfvid

    keras.utils.set_random_seed(0)
    model = tfvid.I3D(174, args.frames, (args.size, args.size))
    clip = np.random.default_rng(0).random((1, args.frames, args.size, args.size, 3), np.float32)
    for layer in model.layers:  # with the clip's own statistics, so that logits differ between clips
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(clip, training=True)
    model.save(folder / "model.keras")
    np.save(folder / "clip.npy", clip)
    model.export(folder / "saved_model", verbose=False)
    if "ONNX Runtime" in args.engines:
        model.export(folder / "model.onnx", format="onnx", verbose=False)


def compare(threads: int, folder: str, args):
    """A row for each engine."""
    found = {name: [] for name in args.engines}
    for _ in range(args.rounds):
        for name, results in found.items():
            results.append(in_a_process(name, threads, folder, args))
    right = next(iter(found.values()))[0]["logits"]
    for name, results in found.items():
        wall = np.concatenate([result["wall"] for result in results])
        cpu = np.concatenate([result["cpu"] for result in results])
        off = np.abs(np.subtract(results[0]["logits"], right)).max()
        span = f"{wall.min():.2f}-{wall.max():.2f}"
        print(ROW(name, threads, f"{np.median(wall):.2f}", f"{np.median(cpu):.2f}", span, f"{off:.1e}"), flush=True)


def in_a_process(name: str, threads: int, folder: str, args) -> dict:
    engine, variables = ENGINES[name]
    options = {"--threads": threads, "--frames": args.frames, "--size": args.size, "--runs": args.runs}
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, __file__, *words, "--child", engine, folder],
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TfvidError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def forward_passes(engine: str, folder: str, threads: int, frames: int, size: int, runs: int) -> dict:
    """Wall and CPU seconds of each run, and the logits, in this process."""
    clip = np.load(Path(folder) / "clip.npy")
    run = {"tensorflow": tensorflow, "onnxruntime": onnxruntime, "openvino": openvino}[engine](folder, clip, threads)
    logits, wall, cpu = run(), [], []
    for _ in range(runs):
        begun, used = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return {"wall": wall, "cpu": cpu, "logits": np.asarray(logits).ravel().tolist()}


def tensorflow(folder: str, clip: np.ndarray, threads: int):
    """As tfvid's explainers run a model."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import tfvid
    from tfvid.network.fast_layers import fast_layers

    model, clip = tfvid.load_model(Path(folder) / "model.keras"), tf.constant(clip)

    @tf.function(autograph=False)
    def logits(clip):
        with fast_layers(model):
            return model(clip, training=False)

    return lambda: logits(clip).numpy()


def onnxruntime(folder: str, clip: np.ndarray, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: clip})[0]


def openvino(folder: str, clip: np.ndarray, threads: int):
    import openvino

    core = openvino.Core()
    model = core.read_model(f"{folder}/saved_model")
    model.reshape(list(clip.shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    return lambda: compiled(clip)[0].copy()


if __name__ == "__main__":
    command(main)
