"""Maps over the units of one layer: class activation mapping and its relatives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
