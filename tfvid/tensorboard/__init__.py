"""Explanations in TensorBoard: `summary` logs them, and `plugin` shows them in the tab "Video explanations"."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
