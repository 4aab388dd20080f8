"""SavedModels that contain their explanations. They run in TensorFlow, without Keras or tfvid.

model ─ save ─► folder ─► tf.saved_model.load, TensorFlow Serving: signatures of tensors (`graph`)
                     └──► load: objects with the interface of the explainers, class names and settings

    saved_model.pb, variables/   the signatures and the weights
    assets/card.json             class names, clip size, ... (`tfvid.models.card`)
    assets/explain.json          input range, preprocessing, the explainers' options, versions
"""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
