"""DeepLIFT and DeepSHAP: what each pixel adds to the score, compared with a baseline clip."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
