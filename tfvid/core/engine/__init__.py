"""Engines run work on many clips, in this process or on a cluster, and survive failed workers.

The work is cut into shards. An engine runs a function on each shard, and again if it fails; see `base.Engine`.
"""

from tfvid.core.registry import Registry

ENGINES = Registry("engine", {"local": "tfvid.core.engine.local:Local", "ray": "tfvid.core.engine.on_ray:OnRay"})
