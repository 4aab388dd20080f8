"""Models of other makes (PyTorch, Keras 2, SavedModels, ONNX Runtime, OpenVINO) as Keras models, one file each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
