"""The explainers of `explain_clips` for one model, and the settings that its records depend on."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tfvid.core.errors import ConfigError, ModelError, StillClipWarning, unknown

TARGETS = ("predicted", "true")
GRAD_CAM = "grad_cam"


class ClipExplainers:
    """The temporal mask, and the methods of maps, of one model.

    The first clips compile them, so keep them for further clips.

    Args:
      model: a Keras model from clips in [0, 1] to class scores, a `tfvid.VideoModel`, or a model of another make.
      target: the class explained: each clip's "predicted" or "true" class.
      source: describes the origin of the clips, for the settings.
      mask: options of `tfvid.TemporalMask`.
      methods: the methods of maps, names as in `tfvid.explainer`, each with its options. None: Grad-CAM.

    Attributes:
      learn: the `TemporalMask`.
      locate: the explainers that make the maps, by name.
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
        methods: Mapping[str, Mapping] | None = None,
    ):
        from tfvid.experiments.record_settings import model_settings, record_options, weights_digest
        from tfvid.explain.explainers import explainer
        from tfvid.explain.masks.temporal_mask import TemporalMask

        mask, methods = mask or {}, {GRAD_CAM: {}} if methods is None else methods
        if target not in TARGETS:
            raise ConfigError(unknown("target", target, TARGETS))
        self.settings = {"weights": weights_digest(model), "target": target, "source": source}
        self.settings |= record_options(mask, methods) | model_settings(model)
        self.learn = TemporalMask(model, **mask)
        self.locate = {name: explainer(name, model, **options) for name, options in methods.items()}

    def __call__(self, clips: np.ndarray, labels: np.ndarray, ids: Sequence[str]):
        """Explains a batch of clips.

        Args:
          clips: float32 `(B, T, H, W, 3)` in [0, 1].
          labels: int32 `(B,)`, the true classes, -1 if unknown.
          ids: the ids of the clips, for error messages.

        Returns:
          The result of the temporal mask, and the results of the methods of maps by name.

        Raises:
          ConfigError: the target is "true" and a clip has no label.
        """
        target = labels if self.settings["target"] == "true" else None
        if target is not None and (labels < 0).any():
            raise ConfigError(f"target 'true' needs labels, but clip {ids[int(labels.argmin())]} has none")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StillClipWarning)  # the records state it
            masks = self.learn(clips, target=target, labels=labels)
        return masks, {name: locate(clips, target=masks.target) for name, locate in self.locate.items()}


def check_methods(name: str, model, clip: np.ndarray, methods: Mapping[str, Mapping]):
    """Checks that methods of maps apply to a model, by explaining one clip with few iterations.

    Args:
      name: of the model, for the error.
      model: as for `ClipExplainers`.
      clip: float32 `(1, T, H, W, 3)` in [0, 1].
      methods: the methods of maps, each with its options, which replace the few iterations.

    Raises:
      ModelError: one line that names the method and the reason.
    """
    from tfvid.explain.methods import why_not

    for method, options in methods.items():
        if reason := why_not(method, model, clip, options):
            raise ModelError(f"method {method!r} does not apply to model {name!r}: {reason}")
