"""Where training runs: in one process, on all GPUs of a machine, or on several machines."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfvid.core.errors import ConfigError, TfvidError
from tfvid.data.share import Share

# A machine that is gone shows itself as one of these, within some ten seconds.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)

MOST_TASKS = 1024  # of SLURM on one node


@dataclass(frozen=True)
class Distribution:
    """A strategy, and this process' place in it.

    Attributes:
      strategy: of `tf.distribute`; None for training in one process on one device.
      share: this worker's place among all workers.
    """

    strategy: tf.distribute.Strategy | None = None
    share: Share = Share()

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.share.index == 0

    @property
    def replicas(self) -> int:
        """Copies of the model, on all workers together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self):
        """Where the model and its optimizer are built."""
        return self.strategy.scope() if self.strategy else tf.distribute.get_strategy().scope()

    def wait(self):
        """Returns when all workers have come here."""
        if self.share.count > 1:
            self._meeting()

    @contextmanager
    def together(self):
        """What all workers do together in here ends in one line where one of them is lost."""
        try:
            yield
        except LOST as error:
            if self.share.count == 1:
                raise
            raise TfvidError(
                "another worker is lost; start all of them again: training goes on from the newest checkpoint"
            ) from error

    @cached_property
    def _meeting(self):
        @tf.function
        def meeting():
            return self.strategy.reduce("SUM", self.strategy.run(lambda: tf.constant(1.0)), axis=None)

        return meeting


def distribution(kind: str, batch_size: int) -> Distribution:
    """The distribution that a configuration asks for. Call it before TensorFlow is used for anything else.

    Args:
      kind: "none", "mirrored" or "multi_worker", see `tfvid.config.RunConfig`.
      batch_size: clips a step, of all replicas together.

    Raises:
      ConfigError: no cluster to be found, or a batch that cannot be shared out evenly.
    """
    if kind == "none":
        return Distribution()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        chosen = Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    else:
        resolver = cluster(os.environ)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        workers = sum(len(tasks) for tasks in resolver.cluster_spec().as_dict().values())
        chosen = Distribution(strategy, Share(_place(resolver), workers))
    if batch_size % chosen.replicas:
        raise ConfigError(f"data.batch_size must be a multiple of {chosen.replicas} replicas, got {batch_size}")
    return chosen


def cluster(environment) -> tf.distribute.cluster_resolver.ClusterResolver:
    """The cluster of ``TF_CONFIG``, or else of the SLURM job that this process is a task of.

    Raises:
      ConfigError: neither is there, or ``TF_CONFIG`` is not as TensorFlow describes it.
    """
    if "TF_CONFIG" in environment:
        _check_tf_config(environment["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_PROCID" in environment:
        # Which GPUs a task sees is SLURM's business (--gpus-per-task). Left to itself the resolver sets that too, and
        # fails on machines without any; told of as many as a node can have tasks, it only counts the tasks.
        return tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=MOST_TASKS, gpus_per_task=1, auto_set_gpu=False
        )
    raise ConfigError(
        "distribution multi_worker needs the environment variable TF_CONFIG, or a SLURM job started with srun; "
        "neither is there"
    )


def _check_tf_config(text: str):
    expected = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        tasks = config["cluster"][config["task"]["type"]]
        tasks[int(config["task"]["index"])]
        valid = set(config["cluster"]) <= {"chief", "worker"} and isinstance(tasks, list)
    except (ValueError, KeyError, TypeError, IndexError):
        valid = False
    if not valid:
        raise ConfigError(f"TF_CONFIG: expected {expected}, got {text[:200]}")


def _place(resolver) -> int:
    """The number of this process among all workers; a task of type "chief" comes first."""
    spec = resolver.cluster_spec().as_dict()
    return resolver.task_id + (len(spec.get("chief", ())) if resolver.task_type == "worker" else 0)
