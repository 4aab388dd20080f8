"""Explanations by the attention of video transformers: rollout, gradient-weighted relevance, and the weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
