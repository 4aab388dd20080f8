"""``scripts/prepare.py``, run as a person runs it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from forks import SCRIPT

from tfvid.cli.prepare import main
from tfvid.core import errors
from tfvid.core.errors import ConfigError, TfvidError
from tfvid.data.records import Records

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--num-frames", "4", "--size", "16", "16", "--shard-size", "5", "--workers", "2"]


def command(out, *more) -> list[str]:
    script = [sys.executable, str(ROOT / "scripts" / "prepare.py"), "--dataset", "shapes", "--split", "train"]
    return [*script, *SMALL, "--option", "train=60", "--out", str(out), *more]


def run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_killed_and_run_again_gives_the_same_bytes(tmp_path, forks, capsys):
    main(command(tmp_path / "whole")[2:])
    printed = capsys.readouterr()
    assert "train: 60 clips in 12 shards" in printed.out and "0 skipped, 0 damaged" in printed.out
    assert "60/60" in printed.err and "clip/s" in printed.err  # the progress bar

    out = tmp_path / "killed"
    process = forks.start(SCRIPT, *command(out)[1:], cwd=tmp_path)
    while process.is_running() and len(list(out.glob("train/shard-*.json"))) < 3:
        time.sleep(0.002)
    process.kill()
    assert not (out / "train" / "manifest.json").exists(), "it was never interrupted"
    shards = list(out.glob("train/shard-*.tfrecord"))
    assert 1 <= len(shards) < 12
    times = {shard: shard.stat().st_mtime_ns for shard in shards if shard.with_suffix(".json").exists()}

    main(command(out)[2:])
    assert {shard: shard.stat().st_mtime_ns for shard in times} == times  # those were not made again
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.long
def test_ray_writes_the_same_bytes(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tfvid[ray]'")
    for name, more in (("here", []), ("ray", ["--engine", "ray", "--cpus", "0.5"])):
        done = run(command(tmp_path / name, *more))
        assert done.returncode == 0, done.stderr
        assert "train: 60 clips in 12 shards" in done.stdout and "60/60" in done.stderr
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")


def test_other_settings_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "settings.json").write_text(json.dumps({"format": 0}))
    monkeypatch.setattr(sys, "argv", command(tmp_path)[1:])
    with pytest.raises(SystemExit) as caught:
        errors.command(main)
    message = str(caught.value)
    assert message.startswith(f"error: {tmp_path}/train was made with other settings: format was 0, now 1; ")
    assert "\n" not in message


def test_real_clips_and_config(shared_data, tmp_path, capsys):
    config = tmp_path / "kth.yaml"
    root = shared_data / "kth_sample"
    config.write_text(
        f"data:\n  dataset: kth\n  root: {root}\n  options: {{whole_files: true}}\n  num_frames: 8\n  size: [30, 40]\n"
    )
    main(["--config", str(config), "--split", "validation", "--out", str(tmp_path / "out"), "--num-frames", "4"])
    assert "validation: 6 clips in 1 shards" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out/validation/manifest.json").read_text())
    assert manifest["settings"]["num_frames"] == 4 and manifest["settings"]["size"] == [30, 40]
    assert manifest["skipped"] == {} and manifest["damaged"] == {}


def test_default_splits_are_those_with_labels(tmp_path, capsys):
    options = ["--option", "train=5", "--option", "validation=3"]
    main(["--dataset", "shapes", *SMALL, *options, "--out", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]
    assert f"next: train with data.records={tmp_path}" in capsys.readouterr().out


def test_bad_arguments(tmp_path):
    out = ["--out", str(tmp_path)]
    with pytest.raises(ConfigError, match="name the data: --dataset or --config"):
        main(out)
    with pytest.raises(TfvidError, match="unknown dataset 'shape'; did you mean 'shapes'"):
        main(["--dataset", "shape", *out])
    with pytest.raises(ConfigError, match="--option must be name=value, got 'train'"):
        main(["--dataset", "shapes", "--option", "train", *out])
    with pytest.raises(ConfigError, match="dataset shapes: unknown option 'trian'; did you mean 'train'"):
        main(["--dataset", "shapes", "--option", "trian=3", *out])
    with pytest.raises(TfvidError, match="unknown split 'test'"):
        main(["--dataset", "shapes", "--split", "test", *out])
    for option, value in (("--quality", "0"), ("--quality", "101"), ("--shard-size", "0")):
        with pytest.raises(ConfigError, match=f"{option[2:]} must be"):
            main(["--dataset", "shapes", option, value, *out])
    assert list(tmp_path.iterdir()) == []


def test_folders_of_frames_and_warnings_of_one_line(tmp_path, forks):
    """As a newcomer has them: pictures in one folder for each clip, and notes between them."""
    for clip in range(5):
        folder = tmp_path / "data" / "jump" / f"clip{clip}"
        folder.mkdir(parents=True)
        for frame in range(4):
            cv2.imwrite(str(folder / f"frame_{frame}.png"), np.full((16, 24, 3), 40 * clip + 10 * frame, np.uint8))
    (tmp_path / "data" / "jump" / "notes.txt").touch()
    (tmp_path / "data" / "jump" / "clip4" / "frame_1.png").unlink()
    script, root, out = str(ROOT / "scripts" / "prepare.py"), str(tmp_path / "data"), str(tmp_path / "out")
    options = ["--num-frames", "2", "--size", "16", "24"]
    done = forks.run(SCRIPT, script, "--dataset", "folder", "--root", root, "--out", out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "warning" in line]
    assert warned == [f"warning: {tmp_path}/data: ignored files that are not videos (1): jump/notes.txt"]
    records = Records(tmp_path / "out")
    [held_out] = records.samples("validation")
    assert held_out.id == "jump/clip4"
    np.testing.assert_allclose(records.read(held_out, 2, (16, 24)).frames.mean((1, 2, 3)), [160, 190], atol=1)  # JPEG
    assert "jump/clip4" in records.manifests["validation"]["damaged"]
