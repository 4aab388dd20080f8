"""A Keras model as a function of clips: its scores, its layers, and faster versions of some layers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
