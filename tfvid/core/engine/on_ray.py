"""The engine "ray": it runs shards on the machines of a Ray cluster, or in several processes of this machine.

Shards are plain Ray tasks. When a worker or a node dies, Ray reports it, and the shard is submitted again; a pool of
actors hung in this case. A worker process runs many tasks and keeps the model that it has loaded.
"""

import os
import socket
from collections.abc import Iterator

from tfvid.core.engine.base import Done, Engine, Shard
from tfvid.core.errors import ConfigError, TfvidError, error_line


class OnRay(Engine):
    """Runs work as Ray tasks.

    Args:
      retries: how many more times a failed shard is tried.
      address: the address of a running cluster, e.g. "auto" or "10.0.0.1:6379"; None starts a cluster on this machine
        for this run.
      cpus: the processor cores that a task uses.
      gpus: the GPUs that a task uses; may be a fraction.
      at_once: how many shards are submitted at a time; None for twice as many as the cluster can run.

    Raises:
      ConfigError: Ray is not installed, or no cluster runs at `address`.
    """

    def __init__(
        self,
        *,
        retries: int = 2,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        at_once: int | None = None,
    ):
        super().__init__(retries=retries)
        self.ray = _ray()
        self.address, self.cpus, self.gpus, self.at_once = address, cpus, gpus, at_once
        self._connect()

    def run(self, work, shards, progress):
        ray = self.ray
        # One thread for each core of the task. By default, TensorFlow would use all cores in each task.
        threads = {
            "TF_NUM_INTRAOP_THREADS": str(max(1, int(self.cpus))),
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        }
        task = ray.remote(max_calls=0)(
            _call
        ).options(  # 0: the process, with its model, stays for the next task, also on a GPU
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_retries=0,  # `run` counts retries, so that all kinds of failure count in the same way
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": threads},
        )
        work, waiting = ray.put(work), iter(shards)
        running: dict = {}  # reference -> (shard, remaining retries)
        try:
            while True:
                for shard in _first(waiting, self._room() - len(running)):
                    running[task.remote(work, shard)] = (shard, self.retries)
                if not running:
                    return
                (reference,), _ = ray.wait(list(running), num_returns=1)
                shard, tries = running.pop(reference)
                done = self._ended(reference, shard)
                if done.error and tries:
                    running[task.remote(work, shard)] = (shard, tries - 1)
                    continue
                if not done.error:
                    progress(len(shard.items))
                yield done
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _ended(self, reference, shard: Shard) -> Done:
        try:
            return Done(shard, self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TfvidError):
                raise error.cause from None
            return Done(shard, error=error_line(error.cause or error))
        except self.ray.exceptions.RayError as error:  # the worker or its node died or ran out of memory
            return Done(shard, error=error_line(error))

    def _room(self) -> int:
        """The number of shards to submit at a time: enough that no worker waits."""
        if self.at_once:
            return self.at_once
        total = self.ray.cluster_resources()  # changes when nodes join or leave
        room = total.get("CPU", 0) / self.cpus if self.cpus else float("inf")
        if self.gpus:
            room = min(room, total.get("GPU", 0) / self.gpus)
        return max(1, 2 * int(min(room, 1000)))

    def _connect(self):
        if self.ray.is_initialized():
            return
        try:
            if self.address and ":" in self.address:  # Ray itself would try for five minutes
                host, _, port = self.address.rpartition("/")[2].rpartition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            self.ray.init(address=self.address or "local", log_to_driver=False, logging_level="error")
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(f"engine ray: no cluster at {self.address!r} ({error_line(error)})") from error


def _call(work, shard: Shard):
    return work(shard, lambda items: None)


def _first(items: Iterator, count: int) -> Iterator:
    """Yields the next `count` of `items`, or fewer if there are no more."""
    for _ in range(count):
        try:
            yield next(items)
        except StopIteration:
            return


def _ray():
    try:
        import ray
    except ImportError:
        raise ConfigError("engine ray needs Ray: pip install 'tfvid[ray]'") from None
    import ray.exceptions

    return ray
