"""Layer-wise relevance propagation: the score of a class, passed down layer by layer to the pixels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
