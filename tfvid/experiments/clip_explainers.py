"""The explainers of `explain_clips` for one model, and the settings that its records depend on."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tfvid.core.errors import ConfigError, StillClipWarning, unknown

TARGETS = ("predicted", "true")
GRAD_CAM = "grad_cam"


class ClipExplainers:
    """The temporal mask and Grad-CAM, or maps of another method, of one model.

    The first clips compile them, so keep them for further clips.

    Args:
      model: a Keras model from clips in [0, 1] to class scores, a `tfvid.VideoModel`, or a model of another make.
      target: the class explained: each clip's "predicted" or "true" class.
      source: describes the origin of the clips, for the settings.
      mask: options of `tfvid.TemporalMask`.
      grad_cam: options of `tfvid.GradCAM`.
      maps: the method of the maps, a name as in `tfvid.explainer`. Others than "grad_cam" have their default options.

    Attributes:
      learn: the `TemporalMask`.
      locate: the explainer that makes the maps.
      maps: its name.
      settings: what a record depends on besides the clip: a digest of the weights, the target, the source, the options
        of the explainers, and the declared format or the description of the model.

    Raises:
      ConfigError: an option or a target that does not exist, or a method that makes no maps.
    """

    def __init__(
        self,
        model,
        *,
        target: str = "predicted",
        source: str = "",
        mask: Mapping | None = None,
        grad_cam: Mapping | None = None,
        maps: str = GRAD_CAM,
    ):
        from tfvid.experiments.record_settings import model_settings, record_options, weights_digest
        from tfvid.explain.explainers import explainer
        from tfvid.explain.masks.temporal_mask import TemporalMask

        mask, grad_cam = mask or {}, grad_cam or {}
        if target not in TARGETS:
            raise ConfigError(unknown("target", target, TARGETS))
        self.settings = {"weights": weights_digest(model), "target": target, "source": source}
        self.settings |= record_options(mask, grad_cam, maps) | model_settings(model)
        self.maps = maps
        self.learn = TemporalMask(model, **mask)
        self.locate = explainer(maps, model, **grad_cam if maps == GRAD_CAM else {})

    def __call__(self, clips: np.ndarray, labels: np.ndarray, ids: Sequence[str]):
        """Explains a batch of clips.

        Args:
          clips: float32 `(B, T, H, W, 3)` in [0, 1].
          labels: int32 `(B,)`, the true classes, -1 if unknown.
          ids: the ids of the clips, for error messages.

        Returns:
          The results of the temporal mask and of the method of the maps.

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
