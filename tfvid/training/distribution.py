"""Distributed training: in one process, on all GPUs of a machine, or on several machines."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from tfvid.core.errors import ConfigError, TfvidError
from tfvid.data.share import Share

# If a machine is lost, TensorFlow raises one of these within about ten seconds.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)

MOST_TASKS = 1024  # upper bound of the SLURM tasks on one node


@dataclass(frozen=True)
class Distribution:
    """A strategy of `tf.distribute`, and the place of this process in it.

    Attributes:
      strategy: the strategy; None for training in one process on one device.
      share: the index of this worker, and the number of workers.
    """

    strategy: tf.distribute.Strategy | None = None
    share: Share = Share()

    @property
    def chief(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.share.index == 0

    @property
    def replicas(self) -> int:
        """The number of copies of the model, over all workers."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self):
        """Returns the context in which the model and its optimizer are built."""
        return self.strategy.scope() if self.strategy else tf.distribute.get_strategy().scope()

    def wait(self):
        """Waits until all workers have called it."""
        if self.share.count > 1:
            self._meeting()

    @contextmanager
    def together(self):
        """Inside, a lost worker raises a TfvidError of one line."""
        try:
            yield
        except LOST as error:
            if self.share.count == 1:
                raise
            raise TfvidError(
                "another worker is lost; start all workers again: training continues from the newest checkpoint"
            ) from error

    @cached_property
    def _meeting(self):
        @tf.function
        def meeting():
            return self.strategy.reduce("SUM", self.strategy.run(lambda: tf.constant(1.0)), axis=None)

        return meeting


def distribution(kind: str, batch_size: int) -> Distribution:
    """Returns the distribution of a configuration. Call it before TensorFlow runs any operation.

    Args:
      kind: "none", "mirrored" or "multi_worker", see `tfvid.config.RunConfig`.
      batch_size: the number of clips of a step, over all replicas.

    Raises:
      ConfigError: there is no cluster, or `batch_size` is not a multiple of the number of replicas.
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
    """Returns the cluster of ``TF_CONFIG`` or of the SLURM job of this process.

    Raises:
      ConfigError: there is neither, or ``TF_CONFIG`` does not have TensorFlow's format.
    """
    if "TF_CONFIG" in environment:
        _check_tf_config(environment["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_PROCID" in environment:
        # SLURM assigns the GPUs to the tasks (--gpus-per-task). By default the resolver assigns them, too, and fails on
        # machines without GPUs. With one GPU for each possible task of a node, it only counts the tasks.
        return tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=MOST_TASKS, gpus_per_task=1, auto_set_gpu=False
        )
    raise ConfigError(
        "distribution multi_worker: expected the environment variable TF_CONFIG or a SLURM job started with srun, "
        "found neither"
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
    """Returns the index of this process among all workers; a task of type "chief" is the first."""
    spec = resolver.cluster_spec().as_dict()
    return resolver.task_id + (len(spec.get("chief", ())) if resolver.task_type == "worker" else 0)
