"""One file for each data set that tfvid reads, and for the drawn shapes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
