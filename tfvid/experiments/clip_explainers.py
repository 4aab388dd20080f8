"""The explainers of `explain_clips` for one model, and the settings that its records depend on."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tfvid.core.errors import ConfigError, StillClipWarning, unknown
from tfvid.explain.recorded_options import explainer_options
from tfvid.network.model_format import ModelFormat, declared

TARGETS = ("predicted", "true")


class ClipExplainers:
    """The temporal mask and Grad-CAM of one model. The first clips compile them, so keep them for further clips.

    Args:
      model: a Keras model from clips in [0, 1] to class scores.
      target: the class explained: each clip's "predicted" or "true" class.
      source: describes the origin of the clips, for the settings.
      mask: options of `tfvid.TemporalMask`.
      grad_cam: options of `tfvid.GradCAM`.

    Attributes:
      learn: the `TemporalMask`.
      locate: the `GradCAM`.
      settings: what a record depends on besides the clip: a digest of the weights, the target, the source, the options
        of the explainers, and the declared format of the model.

    Raises:
      ConfigError: an option or a target that does not exist.
    """

    def __init__(
        self,
        model,
        *,
        target: str = "predicted",
        source: str = "",
        mask: Mapping | None = None,
        grad_cam: Mapping | None = None,
    ):
        from tfvid.explain.cam.grad_cam import GradCAM
        from tfvid.explain.masks.temporal_mask import TemporalMask

        if target not in TARGETS:
            raise ConfigError(unknown("target", target, TARGETS))
        self.settings = {"weights": weights_digest(model), "target": target, "source": source}
        self.settings |= explainer_options(mask or {}, grad_cam or {}) | _declared_settings(model)
        self.learn, self.locate = TemporalMask(model, **mask or {}), GradCAM(model, **grad_cam or {})

    def __call__(self, clips: np.ndarray, labels: np.ndarray, ids: Sequence[str]):
        """Explains a batch of clips.

        Args:
          clips: float32 `(B, T, H, W, 3)` in [0, 1].
          labels: int32 `(B,)`, the true classes, -1 if unknown.
          ids: the ids of the clips, for error messages.

        Returns:
          The results of the temporal mask and of Grad-CAM.

        Raises:
          ConfigError: the target is "true" and a clip has no label.
        """
        target = labels if self.settings["target"] == "true" else None
        if target is not None and (labels < 0).any():
            raise ConfigError(f"target 'true' needs labels, but clip {ids[int(labels.argmin())]} has none")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StillClipWarning)  # the records state it
            masks = self.learn(clips, target=target, labels=labels)
        return masks, self.locate(clips, target=masks.target)


def _declared_settings(model) -> dict:
    """Returns the declared properties of a model that change its inputs or outputs; {} if none was declared."""
    known, plain = declared(model), ModelFormat()
    changed = {name: value for name, value in vars(known).items() if value != getattr(plain, name)}
    if changed.get("input_range") in (None, (0.0, 1.0)):
        changed.pop("input_range", None)
    return {f"model.{name}": value for name, value in changed.items()}


def weights_digest(model) -> str:
    """Returns a digest of a model's weights, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype)).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]
