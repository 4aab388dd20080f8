"""Excitation backprop: probability that is passed down from a class, layer by layer, to the input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
