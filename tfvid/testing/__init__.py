"""Checks for your own explainers, models, data sets and metrics.

Each function raises AssertionError with one line, what was expected and what came, or returns None. They need no test
framework::

    from tfvid.testing import check_explainer

    def test_my_explainer():
        check_explainer(MyExplainer)
"""

import lazy_loader

from tfvid.core.keras_backend import check_backend

check_backend()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
