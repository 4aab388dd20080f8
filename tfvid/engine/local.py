"""Shards one after the other, in this process."""

from tfvid.engine.base import Done, Engine, one_line
from tfvid.errors import TfvidError


class Local(Engine):
    """Runs work here. What ends the process ends all of it; started again, it goes on with what is missing.

    Args:
      retries: see `Engine`.
    """

    def run(self, work, shards, progress):
        for shard in shards:
            yield self._tried(work, shard, progress)

    def _tried(self, work, shard, progress) -> Done:
        for _ in range(self.retries + 1):
            try:
                return Done(shard, work(shard, progress))
            except TfvidError:
                raise
            except Exception as error:  # a model or a library may raise anything; the other shards go on
                reason = one_line(error)
        return Done(shard, error=reason)
