"""Puts FFmpeg 4's shared libraries into a folder: python tests/io/ffmpeg4.py FOLDER, then LD_LIBRARY_PATH=FOLDER.

tensorflow-io's video decoder wants libavformat.so.58 and libswscale.so.5; Debian 12 has 59 and 6. OpenCV's wheel
of 2022 carries FFmpeg 4.4 (LGPL) under names of its own; links give them the usual ones. For tests only.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "opencv-python-headless==4.6.0.66"


def main(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "-d", temporary, WHEEL], check=True)
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                if ".libs/" in name:
                    (folder / Path(name).name).write_bytes(wheel.read(name))
    for library in folder.glob("lib*-*.so.*"):  # libavformat-8ef5c7db.so.58.76.100 -> libavformat.so.58
        stem, _, version = library.name.partition(".so.")
        link = folder / f"{stem.rpartition('-')[0]}.so.{version.split('.')[0]}"
        if link.name.startswith(("libav", "libsw")) and not link.exists():
            link.symlink_to(library.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
