"""Work on many clips, here or on other machines, that survives the death of whoever does it.

Work is cut into shards. An engine runs a function on each, some times over where that fails; see `base.Engine`.
"""

from tfvid.core.registry import Registry

ENGINES = Registry("engine", {"local": "tfvid.core.engine.local:Local", "ray": "tfvid.core.engine.on_ray:OnRay"})
