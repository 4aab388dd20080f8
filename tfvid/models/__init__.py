"""Video classifiers. Each is a function that builds a functional Keras model from clips to logits."""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
