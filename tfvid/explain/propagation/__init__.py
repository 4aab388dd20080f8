"""Backward passes through a traced model, with a rule for each operation; LRP and DeepLIFT use them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
