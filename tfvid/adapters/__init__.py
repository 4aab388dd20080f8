"""Models of other makes (PyTorch, Keras 2, SavedModels, ONNX Runtime, OpenVINO) as Keras models, one file each."""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
