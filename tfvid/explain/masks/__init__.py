"""Masks that are optimised or searched: over frames, and over space and time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
