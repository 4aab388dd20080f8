"""The base of all other packages: errors, files, registries, engines. It imports no other package of tfvid."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
