"""Explanations of a video model's prediction.

Every explainer takes a model and is called as ``explainer(clips, target=None)``; see `Explainer`.
"""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
