"""Perturbations: what a temporal mask does to the frames of a clip.

A perturbation is a function ``(clips (B, T, H, W, C), mask (B, T)) -> clips``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
