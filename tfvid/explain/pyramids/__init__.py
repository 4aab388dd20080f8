"""Class Feature Pyramids: the kernels that lead to a class, from the last layer back to earlier ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
