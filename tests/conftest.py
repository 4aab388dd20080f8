"""What every test shares: where the real clips are, and quiet, repeatable TensorFlow."""

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfvid` does, which comes after Keras here

# Two workers on two cores: threads of OpenBLAS that wait for each other take 10 times the CPU of one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import keras  # noqa: E402, reads the variables
from forks import Forks  # noqa: E402

# TensorFlow and Keras are half a million objects. The garbage collector need not go through them again and again.
gc.freeze()
gc.set_threshold(10_000, 20, 20)

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """The same weights and draws every time, also in the fixtures that a test is the first to use."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, ``../shared/data`` beside the checkout or ``$TFVID_SHARED_DATA``."""
    folder = Path(os.environ.get("TFVID_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}")
    return folder


@pytest.fixture(scope="session")
def forks():
    """Runs programs in processes that have Keras imported, and nothing of tfvid."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with Forks("keras", environment=os.environ | {"PYTHONPATH": path}) as forks:
        yield forks


# These files take longest. Two processes end at about the same time if they begin with these.
LONGEST = ("test_demo.py", "test_training.py", "test_callbacks.py", "test_study.py", "test_resume.py", "test_export.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
