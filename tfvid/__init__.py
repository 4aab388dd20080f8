"""tfvid: what did the video model look at, and when?

The names a user types. Everything is imported on first use, so ``import tfvid`` costs nothing and a
process that only decodes video never loads TensorFlow.
"""

from importlib import import_module

from tfvid.network import onednn

onednn.switch_on()

__version__ = "0.1.0"

_HOME = {
    "read_clip": "tfvid.data.sources.video_files",
    "load_dataset": "tfvid.data.pipeline",
    "I3D": "tfvid.models.i3d",
    "ConvLSTM": "tfvid.models.conv_lstm",
    "R2Plus1D": "tfvid.models.r2plus1d",
    "CNNLSTM": "tfvid.models.cnn_lstm",
    "load_model": "tfvid.models.loading",
    "declare": "tfvid.network.model_format",
    "TemporalMask": "tfvid.explain.masks.temporal_mask",
    "GradCAM": "tfvid.explain.cam.grad_cam",
    "explainer": "tfvid.explain",
    "freeze": "tfvid.perturb.temporal",
    "reverse": "tfvid.perturb.temporal",
}
_MODULES = (*("callbacks", "data", "explain", "export", "metrics", "models", "perturb", "report", "results"),)
_HOME_OF_MODULE = {name: f"tfvid.{name}" for name in _MODULES} | {
    "attribution": "tfvid.experiments.attribution",
    "errors": "tfvid.core.errors",
    "study": "tfvid.experiments.study",
    "summary": "tfvid.tensorboard.summary",
}

__all__ = [*_HOME, *_HOME_OF_MODULE]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _HOME_OF_MODULE:
        return import_module(_HOME_OF_MODULE[name])
    raise AttributeError(f"module 'tfvid' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
