"""Tests of tensorflow-io, in the environment that `make test-io` builds: TensorFlow 2.16.2, tensorflow-io 0.37.1.

Elsewhere they are skipped, and say why.
"""

import sys
from pathlib import Path

import pytest

from tfvid.data.decode import tfio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # small_videos


@pytest.fixture(autouse=True, scope="session")
def tensorflow_io():
    ok, reason = tfio.available()
    if not ok:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def decoder():
    ok, reason = tfio.decoder_available()
    if not ok:
        pytest.skip(reason)
