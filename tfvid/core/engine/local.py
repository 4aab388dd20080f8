"""The engine "local": it runs shards one after the other, in this process."""

from tfvid.core.engine.base import Done, Engine
from tfvid.core.errors import TfvidError, error_line


class Local(Engine):
    """Runs work in this process.

    If the process ends, all work ends. The next run continues with the shards that are missing.

    Args:
      retries: how many more times a failed shard is tried.
    """

    def run(self, work, shards, progress):
        for shard in shards:
            yield self._tried(work, shard, progress)

    def _tried(self, work, shard, progress) -> Done:
        for _ in range(self.retries + 1):
            counted: list[int] = []

            def count(items, counted=counted):
                counted.append(items)
                progress(items)

            try:
                value = work(shard, count)
            except TfvidError:
                raise
            except Exception as error:  # a model or a library may raise anything; the other shards continue
                reason = error_line(error)
                progress(-sum(counted))
            else:
                progress(len(shard.items) - sum(counted))  # e.g. clips that could not be read
                return Done(shard, value)
        return Done(shard, error=reason)
