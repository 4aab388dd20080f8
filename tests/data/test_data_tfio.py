"""tensorflow-io is looked at before it is used, and says in one line why it cannot be."""

import importlib.util
import sys

import pytest
import tensorflow as tf

from tfvid.core.errors import TfvidError
from tfvid.data.decode import tfio
from tfvid.data.pipeline import load_dataset


def test_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = "tensorflow-io is not installed (pip install tfvid[io], with TensorFlow 2.16)"
    assert tfio.available() == (False, message)
    assert tfio.decoder_available() == (False, message)
    with pytest.raises(TfvidError, match="^tensorflow-io is not installed"):
        tfio.require()
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "train" / "a" / "x.avi").touch()
    with pytest.raises(TfvidError, match="^tensorflow-io is not installed"):
        load_dataset("folder", "train", root=tmp_path, decoder="tfio")


@pytest.mark.parametrize("version", ["2.15.1", "2.18.0", "2.21.0", "2.160.0"])
def test_beside_a_tensorflow_it_does_not_load_with(monkeypatch, version):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(tf, "__version__", version)
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)  # importing it now would fail in another way
    ok, reason = tfio.available()
    assert not ok
    assert reason.startswith(f"tensorflow-io loads only with TensorFlow 2.16 and 2.17, this is {version} (")


def test_an_import_that_merely_warns(monkeypatch, tmp_path):
    (tmp_path / "tensorflow_io.py").write_text(
        "import warnings\nwarnings.warn('unable to load libtensorflow_io_plugins.so:\\n undefined symbol')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow_io", raising=False)
    monkeypatch.setattr(tf, "__version__", "2.16.2")
    assert tfio.available() == (False, "tensorflow-io: unable to load libtensorflow_io_plugins.so: undefined symbol")
    sys.modules.pop("tensorflow_io")


def test_never_imported_by_default(forks, tmp_path):
    code = "import sys, tfvid.data.pipeline.load, tfvid.data.decode.tfio\nassert 'tensorflow_io' not in sys.modules"
    done = forks.run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
