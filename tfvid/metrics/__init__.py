"""Measures of a classifier, a temporal mask or an attribution map.

Compare every value with those of the maps in `tfvid.metrics.baselines`.
"""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
