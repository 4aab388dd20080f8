"""Training a video classifier: one configuration in, ``runs/<name>/`` and ``saved_models/<name>/`` out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
