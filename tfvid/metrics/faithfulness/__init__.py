"""Faithfulness of maps to the model. Measures that ask the model itself, one file each.

All take ``(model, clips, maps, target)``, ask a `scorer.Scorer` for the class's probability, and know no explainer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
