"""Training a video classifier: one configuration in, ``runs/<name>/`` and ``saved_models/<name>/`` out."""

from tfvid.training.loop import train

__all__ = ["train"]
