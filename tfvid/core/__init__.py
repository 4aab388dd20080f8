"""What everything else stands on: errors, files, the registry of parts, engines. Imports nothing else of tfvid."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
