"""Work on many clips, here or on other machines, that survives the death of whoever does it.

Work is cut into shards. An engine runs a function on each, some times over where that fails; see `base.Engine`.
"""

from tfvid.registry import Registry

ENGINES = Registry("engine", {"local": "tfvid.engine.local:Local", "ray": "tfvid.engine.on_ray:OnRay"})
