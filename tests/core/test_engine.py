"""Engines: every item once, whoever dies; what keeps failing is set aside, and harms no others."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tfvid.core.engine import ENGINES
from tfvid.core.engine.base import Shard, cut, finished
from tfvid.core.errors import ConfigError, DataError, TfvidError


class Doing:
    """Squares numbers. It writes down each try, and fails as it is told to.

    Args:
      folder: gets a line for each try.
      poison: items that always fail.
      deadly: of those, items that kill the process.
      dies_once: items whose first try kills the process.
      wait: seconds that a shard takes.
    """

    def __init__(self, folder, poison=(), deadly=(), dies_once=(), wait=0.0):
        self.folder, self.poison, self.deadly, self.dies_once, self.wait = folder, poison, deadly, dies_once, wait

    def __call__(self, shard, progress):
        file = self.folder / shard.name
        tries = file.read_text().count("x") if file.exists() else 0
        with open(file, "a") as lines:
            lines.write("x")
        time.sleep(self.wait)
        for item in shard.items:
            if item in self.deadly or (item in self.dies_once and not tries):
                os.kill(os.getpid(), signal.SIGKILL)
            if item in self.poison:
                raise ValueError(f"cannot\ndo {item}")
            if item == "fatal":
                raise DataError("the same for all")
            progress(1)
        return {item: item**2 for item in shard.items}

    def tries(self):
        return {file.name: len(file.read_text()) for file in self.folder.iterdir()}


def outcome(engine, work, items, size=3):
    """What was made of each item, and why others failed; each is counted once in a bar, whatever became of it."""
    made, failed, counted = Counter(), {}, []
    for done in finished(engine, work, cut(items, size), counted.append):
        if done.error:
            assert len(done.shard.items) == 1 and done.value is None
            failed[done.shard.items[0]] = done.error
        else:
            made.update(done.value.keys())
            assert all(value == item**2 for item, value in done.value.items())
    assert sum(counted) == len(items)
    return made, failed


def test_items_are_cut_into_named_shards():
    assert cut([1, 2, 3, 4, 5], 2) == [
        Shard("00000-of-00003", (1, 2)),
        Shard("00001-of-00003", (3, 4)),
        Shard("00002-of-00003", (5,)),
    ]
    assert cut([], 2) == []


def test_local_does_all_in_order(tmp_path):
    seen = []
    work, engine = Doing(tmp_path), ENGINES.find("local")()
    ends = list(finished(engine, work, cut([1, 2, 3, 4], 3), seen.append))
    assert [end.value for end in ends] == [{1: 1, 2: 4, 3: 9}, {4: 16}]
    assert sum(seen) == 4


def test_local_sets_a_poisonous_item_aside(tmp_path):
    work = Doing(tmp_path, poison=[5])
    made, failed = outcome(ENGINES.find("local")(retries=1), work, [1, 2, 3, 4, 5, 6])
    assert made == Counter([1, 2, 3, 4, 6])
    assert failed == {5: "ValueError: cannot do 5"}
    tries = work.tries()
    assert tries["00000-of-00002"] == 1 and tries["00001-of-00002"] == 2  # once more, then item by item
    assert tries["00001-of-00002-item-0001"] == 2 and tries["00001-of-00002-item-0002"] == 1


def test_what_is_wrong_for_all_stops_all(tmp_path):
    engine, work = ENGINES.find("local")(), Doing(tmp_path)
    with pytest.raises(DataError, match="the same for all"):
        outcome(engine, work, ["fatal", 2, 3, 4])
    assert work.tries() == {"00000-of-00002": 1}


def test_unknown_engine():
    with pytest.raises(TfvidError, match="unknown engine 'rey'; did you mean 'ray'"):
        ENGINES.find("rey")


@pytest.fixture
def ray():
    """Ray, shut down afterwards."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'tfvid[ray]'")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # other processes do not find the tests
    yield ray
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def on_ray(**options):
    return ENGINES.find("ray")(**options)


@pytest.mark.long
def test_ray_does_all_once_though_workers_die(tmp_path, ray):
    """One item kills its process once, one always does, one raises: the others are done, each once."""
    work = Doing(tmp_path, poison=[11, 13], deadly=[13], dies_once=[4])
    made, failed = outcome(on_ray(retries=2), work, list(range(20)))
    assert made == Counter(set(range(20)) - {11, 13})
    assert failed[11] == "ValueError: cannot do 11" and "WorkerCrashedError" in failed[13]
    tries = work.tries()
    assert tries["00001-of-00007"] == 2  # with item 4
    assert tries["00004-of-00007"] == 3  # with item 13: three tries, then item by item
    assert tries["00004-of-00007-item-0001"] == 3 and tries["00004-of-00007-item-0000"] == 1


@pytest.mark.long
def test_ray_goes_on_when_a_node_is_lost(tmp_path, ray):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=2)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        work, made = Doing(tmp_path, wait=0.5), Counter()
        for number, done in enumerate(finished(on_ray(), work, cut(list(range(40)), 2))):
            assert not done.error
            made.update(done.value.keys())
            if number == 4:
                cluster.remove_node(second, allow_graceful=False)
        assert made == Counter(range(40))
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.long
def test_ray_stops_where_all_would_fail(tmp_path, ray):
    work = Doing(tmp_path)
    with pytest.raises(DataError, match="the same for all"):
        outcome(on_ray(), work, ["fatal", 2, 3, 4])
    assert work.tries()["00000-of-00002"] == 1


GUARDED = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
SQUARES = """
import sys
from tfvid.core.engine import ENGINES
from tfvid.core.engine.base import cut, finished
from tfvid.core.errors import command
def main(argv):
    engine = ENGINES.find("ray")(address=argv[0])
    work = lambda shard, progress: [item**2 for item in shard.items]
    print([done.value for done in finished(engine, work, cut([1, 2, 3], 3))])
command(main)
"""


@pytest.mark.long
def test_a_cluster_can_ask_for_a_token(ray):
    env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789" * 4}
    run = functools.partial(subprocess.run, capture_output=True, text=True, timeout=120)
    with subprocess.Popen(
        [sys.executable, "-c", GUARDED], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        address = cluster.stdout.readline().strip()
        driver = [sys.executable, "-c", SQUARES, address]
        known, stranger = run(driver, env=env), run(driver, env=env | {"RAY_AUTH_TOKEN": "9876543210" * 4})
        cluster.stdin.close()
    assert "[[1, 4, 9]]" in known.stdout, known.stderr
    assert stranger.returncode == 1 and f"error: engine ray: no cluster at '{address}'" in stranger.stderr


@pytest.mark.long
def test_no_cluster_there(ray):
    with pytest.raises(ConfigError, match="engine ray: no cluster at '127.0.0.1:1'"):
        on_ray(address="127.0.0.1:1")
