"""``tfvid export``: a trained model and its explanations as one SavedModel, which needs TensorFlow only."""

import argparse
import json
import re
from pathlib import Path

from tfvid import config as configuration
from tfvid.cli.model_options import add_model_options, load_config_of
from tfvid.cli.overrides import add_overrides
from tfvid.cli.tensorflow_log import load_tensorflow


def main(argv: list[str]) -> None:
    """Parses `argv`, writes the SavedModel, and prints how to run it."""
    arguments = _parser().parse_args(argv)
    overrides = [f"explain.{text}" for text in arguments.overrides]
    options = configuration.from_dict(configuration.override({}, overrides), " ".join(overrides)).explain

    load_tensorflow()

    from tfvid.export import save
    from tfvid.export.saving import SETTINGS
    from tfvid.models.loaded import load_model_as

    model, card = load_model_as(arguments.model, **load_config_of(arguments).load_options())
    folder = save(
        model,
        arguments.out,
        card=card,
        mask=options.mask,
        grad_cam=options.grad_cam,
        overwrite=arguments.overwrite,
    )
    low, high = json.loads((folder / "assets" / SETTINGS).read_text(encoding="utf-8"))["clips"]["range"]
    print("\n".join(next_steps(folder, card.name, (low, high))))


def next_steps(folder: Path, name: str, values: tuple[float, float]) -> list[str]:
    """Returns lines on how to run the model: in Python, on the command line, and with TensorFlow Serving.

    Args:
      folder: the folder of the exported model.
      name: the name of the model.
      values: the model's input range, (low, high).
    """
    low, high = values
    lines = [
        f"exported: {folder}",
        f"in Python, with TensorFlow alone (clips float32 (B, T, H, W, C), RGB, values {low:g} to {high:g}; "
        "-1 explains the predicted class):",
        "    import tensorflow as tf",
        f"    exported = tf.saved_model.load({str(folder)!r})",
        '    maps = exported.signatures["grad_cam"](clips=clips, target=tf.constant([-1]))["attribution"]',
        f"its signatures: saved_model_cli show --dir {folder} --all",
    ]
    if re.fullmatch(r"\d+", folder.name):
        place = f"--model_name={folder.parent.name} --model_base_path={folder.parent}"
        return [*lines, f"with TensorFlow Serving: tensorflow_model_server --rest_api_port=8501 {place}"]
    return [*lines, f"for TensorFlow Serving, export to a folder named by its version: --out .../{name}/1"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid export", description="Export a video classifier with its explanations as one SavedModel."
    )
    parser.add_argument(
        "--model", required=True, type=Path, help="runs/<name>, saved_models/<name>, a .keras or .h5 file"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the SavedModel, e.g. exported/<name>/1")
    parser.add_argument("--overwrite", action="store_true", help="replace a SavedModel that is already there")
    add_model_options(parser)
    add_overrides(parser, "options of the explainers, e.g. mask.iterations=100 grad_cam.layer=Mixed_5c")
    return parser
