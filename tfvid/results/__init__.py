"""The records of explained clips, in Parquet files that stay valid if the process is killed at any time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
