"""Runs over many clips: explaining, evaluating, the study of two models and the comparison of methods."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
