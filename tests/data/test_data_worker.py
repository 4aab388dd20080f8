"""Decode processes: what happens to a clip that hangs or kills its reader, and to the readers in the end."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_videos import frame_numbers, write_video

from tfvid.core.errors import DataError, VideoError
from tfvid.data.base import VideoDataset
from tfvid.data.decode import worker
from tfvid.data.decode.clip import Clip, Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.pipeline import make_dataset
from tfvid.data.sources.folder import ClassFolders
from tfvid.data.sources.shapes import MovingShapes

SIZE = (8, 12)
ROOT = Path(__file__).resolve().parents[2]

MISBEHAVING = """
import os, sys, time
import numpy as np
from tfvid.data.base import Clip, Sample, VideoDataset

class Misbehaving(VideoDataset):
    class_names = ("a",)

    def __init__(self, root=None, shade=7):
        self.shade = shade

    def samples(self, split):
        return [Sample(name, 0) for name in ("good", "sleep", "abort", "raise", "print", "tensorflow")]

    def read(self, sample, num_frames, size):
        if sample.id == "sleep":
            while True:
                time.sleep(100)
        if sample.id == "abort":
            os.abort()
        if sample.id == "raise":
            raise KeyError("no such\\nkey")
        if sample.id == "print":
            print("a library's chatter")
        if sample.id == "tensorflow" and "tensorflow" in sys.modules:
            raise RuntimeError("TensorFlow was imported")
        return Clip(np.full((num_frames, *size, 3), self.shade, np.uint8), np.array([1, 2], np.int32))
"""


@pytest.fixture
def misbehaving(tmp_path):
    file = tmp_path / "my_data.py"
    file.write_text(MISBEHAVING)
    return make_dataset(f"{file}:Misbehaving", shade=9)


def test_reads_files(tmp_path):
    write_video(tmp_path / "a" / "x.avi", 20)
    dataset = ClassFolders(tmp_path, validation_share=0)
    with DecodePool(dataset, 1) as pool:
        clip = pool.read(dataset.samples("train")[0], 4, SIZE)
    assert frame_numbers(clip.frames) == [0, 6, 13, 19]
    assert clip.frames.dtype == np.uint8 and clip.decoded == 20 and not clip.damage
    assert clip.event.tolist() == [-1, -1] and clip.boxes.shape == (4, 0, 4)


def test_reads_generated_clips_as_this_process_does():
    dataset = MovingShapes(seed=3, train=4)
    samples = dataset.samples("train")
    with DecodePool(dataset, 2) as pool, ThreadPoolExecutor(4) as threads:
        clips = list(threads.map(lambda sample: pool.read(sample, 6, (16, 16)), samples))
    for sample, clip in zip(samples, clips, strict=True):
        expected = dataset.read(sample, 6, (16, 16))
        np.testing.assert_array_equal(clip.frames, expected.frames)
        np.testing.assert_array_equal(clip.boxes, expected.boxes)
        np.testing.assert_array_equal(clip.event, expected.event)


def test_a_bad_file_is_its_own_error(tmp_path):
    sample = Sample("x", 0, str(tmp_path / "none.avi"))
    dataset = _Files()
    with DecodePool(dataset, 1) as pool:
        with pytest.raises(VideoError, match="no such file") as caught:
            pool.read(sample, 4, SIZE)
        process = pool.processes[0]
        assert process.poll() is None  # no reason to end it
    assert caught.value.path == sample.path and caught.value.reason == "no such file"


def test_a_hung_read_is_ended_in_time_and_the_next_works(misbehaving, monkeypatch):
    monkeypatch.setattr(worker, "GRACE", 0.2)
    good, sleep = misbehaving.samples("train")[:2]
    with DecodePool(misbehaving, 1, time_limit=0.5) as pool:
        assert pool.read(good, 2, SIZE).frames.mean() == 9
        first = pool.processes[0]
        with pytest.raises(VideoError, match="^sleep: not read within 0.5 s; its decode process was ended$"):
            pool.read(sleep, 2, SIZE)
        assert first.poll() == -signal.SIGKILL
        assert pool.read(good, 2, SIZE).frames.mean() == 9
        assert pool.processes[0].pid != first.pid


def test_a_hung_read_does_not_hold_up_others(misbehaving, monkeypatch):
    monkeypatch.setattr(worker, "GRACE", 0.2)
    good, sleep = misbehaving.samples("train")[:2]
    with DecodePool(misbehaving, 2, time_limit=2) as pool, ThreadPoolExecutor(2) as threads:
        hung = threads.submit(pool.read, sleep, 2, SIZE)
        for _ in range(5):
            assert pool.read(good, 2, SIZE).event.tolist() == [1, 2]
        assert isinstance(hung.exception(), VideoError)


def test_a_crashed_read_costs_one_clip(misbehaving):
    good, _, abort = misbehaving.samples("train")[:3]
    with DecodePool(misbehaving, 1) as pool:
        for _ in range(2):
            with pytest.raises(VideoError, match="^abort: its decode process died: SIGABRT$"):
                pool.read(abort, 2, SIZE)
            assert pool.read(good, 2, SIZE).frames.mean() == 9


def test_a_child_that_died_between_clips_is_replaced(misbehaving):
    good = misbehaving.samples("train")[0]
    with DecodePool(misbehaving, 1) as pool:
        pool.read(good, 2, SIZE)
        (process,) = pool.processes
        process.kill()
        process.wait()
        assert pool.read(good, 2, SIZE).frames.mean() == 9


def test_an_exception_becomes_one_line(misbehaving):
    samples = {sample.id: sample for sample in misbehaving.samples("train")}
    with DecodePool(misbehaving, 1) as pool:
        with pytest.raises(VideoError, match=r"^raise: KeyError: 'no such\\nkey'$"):
            pool.read(samples["raise"], 2, SIZE)
        assert pool.read(samples["print"], 2, SIZE).frames.mean() == 9  # prints do not disturb the replies
        assert pool.read(samples["tensorflow"], 2, SIZE).frames.mean() == 9  # it is not there


def test_children_are_gone_after_close(misbehaving):
    pool = DecodePool(misbehaving, 2)
    good = misbehaving.samples("train")[0]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: pool.read(good, 2, SIZE), range(8)))
    pids = [process.pid for process in pool.processes]
    assert pids
    pool.close()
    for pid in pids:  # not even a zombie
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(DataError, match="have been ended"):
        pool.read(good, 2, SIZE)


def test_closing_while_a_read_hangs(misbehaving):
    good, sleep = misbehaving.samples("train")[:2]
    pool = DecodePool(misbehaving, 1)
    pool.read(good, 2, SIZE)
    with ThreadPoolExecutor(1) as threads:
        hung = threads.submit(pool.read, sleep, 2, SIZE)
        while not hung.running():
            time.sleep(0.01)
        pool.close()
        assert isinstance(hung.exception(timeout=30), DataError)


def test_a_collected_pool_ends_its_children(misbehaving):
    pool = DecodePool(misbehaving, 1)
    pool.read(misbehaving.samples("train")[0], 2, SIZE)
    pid = pool.processes[0].pid
    del pool
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


SCRIPT = """
import sys
from tfvid.data.sources.folder import ClassFolders
from tfvid.data.decode.worker import DecodePool

# On purpose without "if __name__ == '__main__'": a child must not run this again.
print("started", flush=True)
dataset = ClassFolders(sys.argv[1], validation_share=0)
pool = DecodePool(dataset, 1)
pool.read(dataset.samples("train")[0], 2, (8, 12))
print(pool.processes[0].pid, flush=True)
if sys.argv[2] == "wait":
    sys.stdin.read()
"""


def _script(tmp_path, then: str) -> subprocess.Popen:
    write_video(tmp_path / "a" / "x.avi", 5)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path), then]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def _wait_until_gone(pid: int):
    for _ in range(600):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def test_works_without_a_main_guard_and_ends_at_exit(tmp_path):
    output, _ = _script(tmp_path, "exit").communicate(timeout=60)
    started, pid = output.split()
    assert started == "started"
    _wait_until_gone(int(pid))


def test_children_end_when_the_parent_is_killed(tmp_path):
    with _script(tmp_path, "wait") as process:
        assert process.stdout.readline() == "started\n"
        pid = int(process.stdout.readline())
        process.kill()
    _wait_until_gone(pid)


HANGING_SCRIPT = """
import sys
from threading import Thread
from tfvid.core.python_file import run_python_file
from tfvid.data.decode import worker

worker.GRACE = 0.2
dataset = run_python_file(sys.argv[1]).Misbehaving()
dataset.origin = sys.argv[1] + ":Misbehaving"
pool = worker.DecodePool(dataset, 1, time_limit=1)
good, sleep = dataset.samples("train")[:2]
pool.read(good, 2, (8, 12))
Thread(target=pool.read, args=(sleep, 2, (8, 12))).start()
print(pool.processes[0].pid, flush=True)
"""


def test_a_hung_child_ends_when_the_parent_was_killed(misbehaving, tmp_path):
    command = [sys.executable, "-c", HANGING_SCRIPT, str(tmp_path / "my_data.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}) as p:
        pid = int(p.stdout.readline())
        time.sleep(0.2)  # let it begin to hang
        p.kill()
    _wait_until_gone(pid)


class _Files(VideoDataset):
    class_names = ("a",)

    def samples(self, split):
        return []


class _Drawn(_Files):
    def __init__(self, value):
        self.value = value

    def read(self, sample, num_frames, size):
        return Clip(np.zeros((num_frames, *size, 3), np.uint8))


def test_a_dataset_that_cannot_be_built_again():
    with pytest.raises(
        DataError, match="_Drawn has its own `read`, .* numbers, strings, lists and dicts; got .*object"
    ):
        DecodePool(_Drawn(object()), 1)

    class Local(_Drawn):
        pass

    with pytest.raises(DataError, match="define it in a file of its own and name it 'that_file.py:Local'"):
        DecodePool(Local(1), 1)
    with pytest.raises(DataError, match="unknown decoder 'pyavv'; did you mean 'pyav'"):
        DecodePool(_Files(), 1, decoder="pyavv")


def test_a_dataset_that_fails_to_build_says_why(tmp_path):
    file = tmp_path / "gone.py"
    file.write_text(MISBEHAVING)
    dataset = make_dataset(f"{file}:Misbehaving")
    file.unlink()
    with DecodePool(dataset, 1) as pool, pytest.raises(DataError, match="cannot start: .*gone.py: no such"):
        pool.read(Sample("good", 0), 2, SIZE)


def test_the_decoder_needs_no_tensorflow():
    modules = "decode.video decode.worker sources.something sources.kth sources.folder sources.csv_list sources.shapes"
    code = (
        f"import sys\nfor m in {modules.split()}: __import__('tfvid.data.' + m)\nassert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
