"""scripts/explain.py by either engine: the same bytes, and nothing lost or done twice when its driver is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_models import TINY_CLASSES, tiny_i3d

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_i3d(tmp_path_factory.mktemp("model"))


def explaining(model, out, engine, *arguments):
    """The command as a process, one thread for each computation so that sums come out alike."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1"}
    command = [sys.executable, ROOT / "scripts" / "explain.py", "--model", model, "--out", out, "--dataset", "shapes"]
    command += ["--limit", "12", "--classes", *TINY_CLASSES, "--shard-size", "4", "--films", "--engine", engine]
    command += ["mask.iterations=3", "data.workers=1", *arguments]
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ends(process):
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def test_both_engines_write_the_same_bytes(model, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tfvid[ray]'")
    ends(explaining(model, tmp_path / "here", "local"))
    ends(explaining(model, tmp_path / "ray", "ray", "--cpus", "0.5"))
    here, there = ((tmp_path / name / "results.parquet").read_bytes() for name in ("here", "ray"))
    assert pq.read_table(tmp_path / "here" / "results.parquet").num_rows == 12
    assert here == there


def test_a_killed_driver_goes_on_with_what_is_missing(model, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tfvid[ray]'")
    process = explaining(model, tmp_path, "ray", "--cpus", "2")
    parts = tmp_path / "results.parts"
    while not list(parts.glob("part-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)  # until Ray's processes have noticed
    first = pq.read_table(parts)
    done = first["id"].to_pylist()
    assert len(done) == len(set(done)) > 0
    output = ends(explaining(model, tmp_path, "local"))
    assert f"{len(done)}/12" in output  # where the bar of the second run starts
    table = pq.read_table(tmp_path / "results.parquet")
    ids = table["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 12 and set(done) <= set(ids)
    kept = {row["id"]: row for row in table.to_pylist()}
    assert all(kept[row["id"]]["mask"] == row["mask"] for row in first.to_pylist())
    assert np.isfinite(table["loss"].to_numpy()).all()
