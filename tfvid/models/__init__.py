"""Video classifiers. Each is a function that builds a functional Keras model from clips to logits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
