"""The decoding benchmark: its readers do the same job, and one that does not is left out. How fast is not tested."""

import importlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from small_videos import frame_numbers, write_video

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
QUICK = ["--rounds", "1", "--clips", "1", "--frames", "4", "--size", "32"]


@pytest.fixture
def decode(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("decode")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm"])
@pytest.mark.parametrize("threads", [1, None])
def test_readers_give_the_same_frames(decode, tmp_path, suffix, threads):
    file = write_video(tmp_path / f"a{suffix}", 20, size=(48, 64))
    expected = decode._tfvid(file, 4, (32, 32), threads)
    assert frame_numbers(expected) == [0, 6, 13, 19]
    for name, (read, module, _) in decode.PEERS.items():
        if find_spec(module):
            frames = read(file, 4, (32, 32), threads)
            assert frames.dtype == np.uint8 and frames.shape == expected.shape, name
            assert frame_numbers(frames) == [0, 6, 13, 19], name


@pytest.mark.long
def test_it_prints_each_reader(decode, tmp_path, monkeypatch, capsys):
    clips = importlib.import_module("clips")
    short = (*clips.ORIGINALS["H.264 mp4"][:4], 6, (32, 48), 12)
    monkeypatch.setattr(clips, "ORIGINALS", {"H.264 mp4": short})
    write_video(tmp_path / "a.webm", 20, size=(48, 64))
    decode.main([*QUICK, "--videos", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "VP9 webm, samples (1 files)" in printed
    assert ("H.264 mp4, 6 frames of 48x32 (1 files)" in printed) == bool(find_spec("av"))
    for reader in ("tfvid", "opencv", "shards"):
        assert any(line.split()[:1] == [reader] for line in printed.splitlines()), printed
    assert "tfvid / opencv" in printed and "shards / " in printed


def test_samples_are_not_files_made_for_tests(decode, tmp_path):
    clips = importlib.import_module("clips")
    for file in ("hard_files/a.avi", "kth_sample/boxing/b.avi", "kth_sample/boxing/c.avi"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert list(clips.sample_clips(tmp_path, 1)) == [
        ("MPEG-4 avi, samples", [tmp_path / "kth_sample" / "boxing" / "b.avi"])
    ]


def test_a_reader_that_gives_other_frames_is_left_out(decode, tmp_path, monkeypatch, capsys):
    file = write_video(tmp_path / "a.avi", 20, size=(48, 64))
    late = lambda *job: np.clip(decode._tfvid(*job) + np.uint8(10), 0, 255)  # noqa: E731, as if one frame later
    monkeypatch.setitem(decode.PEERS, "opencv", (late, "cv2", "opencv-python-headless"))
    assert not decode._agrees("opencv", file, 4, (32, 32))
    assert "opencv is left out, it gives other frames (mean difference 10.0" in capsys.readouterr().out


def test_ratios_are_taken_within_a_round(decode, capsys):
    found = {
        ("tfvid", "one core"): np.array([10.0, 1.0, 100.0]),
        ("opencv", "one core"): np.array([5.0, 0.5, 50.0]),
        ("shards", "one core"): np.array([50.0, 5.0, 500.0]),
        ("tfvid", "CPU ms"): np.array([100.0, 200.0, 300.0]),
        ("opencv", "CPU ms"): np.array([125.0, 250.0, 375.0]),
        ("shards", "CPU ms"): np.array([10.0, 20.0, 30.0]),
    }
    decode.print_table(found)
    printed = capsys.readouterr().out
    assert "tfvid / opencv 2.00 (2.00-2.00), CPU 1.25 (1.25-1.25)" in printed
    assert "shards / tfvid 5.00 (5.00-5.00), CPU 10.00 (10.00-10.00)" in printed


def test_waiting_is_the_part_of_a_step_before_its_batch_is_there(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("input")
    clock = iter(np.arange(100.0))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    trained = []
    model = type("Model", (), {"train_on_batch": lambda self, *batch: trained.append(batch)})()
    steps, waits = module.time_steps(model, iter([(1, 2)] * 5))
    assert len(trained) == 5
    assert steps.tolist() == [2.0, 2.0] and waits.tolist() == [1.0, 1.0]  # three of warm-up are left out
