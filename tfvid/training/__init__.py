"""Trains a video classifier from a configuration; writes ``runs/<name>/`` and ``saved_models/<name>/``."""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
