"""tfvid: which frames and which pixels a video classifier relies on.

Names load on first use, from the modules that `__init__.pyi` lists. ``import tfvid`` loads no TensorFlow.
"""

import lazy_loader

from tfvid.network import onednn

onednn.switch_on()

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
