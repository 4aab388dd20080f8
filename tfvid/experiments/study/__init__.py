"""The paper's study: compares two or more groups of video models on the same clips, with statistics and a page.

Mänttäri et al., "Interpreting Video Features: a Comparison of 3D Convolutional Networks and Convolutional LSTM
Networks", ACCV 2020.

    check that models and clips fit ─► predict (F1, also reversed) ─► choose classes ─► explain ─► measure ─► report
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
