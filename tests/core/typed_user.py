"""A user's script with types: mypy must accept it. It is not run."""

from typing import assert_type

import keras
import numpy as np

import tfvid
from tfvid.explain import IntegratedGradients
from tfvid.metrics import pointing_game


def explain(model: keras.Model, clips: np.ndarray) -> dict[str, tfvid.Explanation]:
    """Explains clips with three explainers: by class, by name, and from a sub-package."""
    explainers: dict[str, tfvid.Explainer] = {
        "grad_cam": tfvid.GradCAM(model, pool="clip"),
        "lime": tfvid.explainer("lime", model),
        "integrated_gradients": IntegratedGradients(model, batch_size=2),
    }
    return {name: explainer(clips, target=0) for name, explainer in explainers.items()}


def attribution(model: keras.Model, clips: np.ndarray) -> np.ndarray:
    """The map of each clip: an explainer has results of its own type."""
    assert_type(IntegratedGradients(model)(clips), tfvid.explain.PathResult)
    assert_type(tfvid.TemporalMask(model)(clips), tfvid.explain.TemporalMaskResult)
    return tfvid.GradCAM(model)(clips).attribution


def frames_that_matter(model: keras.Model, clips: np.ndarray) -> np.ndarray:
    """The learned mask of each clip."""
    return tfvid.TemporalMask(model, iterations=100)(clips).mask > 0.5


def is_in_box(maps: np.ndarray, boxes: np.ndarray) -> float:
    """The share of clips whose largest attribution lies in the box."""
    return float(np.mean(pointing_game(maps, boxes)))


def train(config: str) -> None:
    """Trains a model, and measures it on the clips of a folder."""
    run = tfvid.config.load(config, ["train.epochs=2"])
    tfvid.train(run, "runs", "saved_models")
    model = tfvid.load_model("saved_models/mine")
    clips = tfvid.load_dataset("folder", "test", root="/data", num_frames=16)
    evaluation = tfvid.evaluate(model, clips)
    assert_type(evaluation.warning, str | None)


try:
    names: list[str] = [result.model for result in tfvid.read_results("runs/explain")]
    parts: list[str] = list(tfvid.explain.EXPLAINERS)
except tfvid.TfvidError as error:
    print(error)
