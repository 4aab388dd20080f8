"""oneDNN is switched on before TensorFlow loads; a choice of the user's is kept; a TensorFlow that is slow is named."""

import os
import subprocess
import sys

import pytest

from tfvid.network import onednn


def python(code, **variables):
    """What a fresh Python prints on stdout and stderr."""
    environment = {name: value for name, value in os.environ.items() if name != onednn.VARIABLE} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout, done.stderr


@pytest.mark.long
def test_tfvid_first():
    """Importing tfvid loads no TensorFlow, and the one that is loaded next uses oneDNN."""
    printed, _ = python(
        "import sys, tfvid; print('tensorflow' in sys.modules); import tensorflow; print(tfvid.network.onednn.is_on())"
    )
    assert printed.split() == ["False", "None" if onednn.is_on() is None else "True"]


def test_a_users_choice_is_kept():
    printed, errors = python("import os, tfvid; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])", TF_ENABLE_ONEDNN_OPTS="0")
    assert printed.strip() == "0" and errors == ""


def test_it_is_known_whether_this_tensorflow_uses_it():
    """`make test` runs this with the variable 0 and 1."""
    assert onednn.is_on() in (None, os.environ[onednn.VARIABLE] == "1")


@pytest.mark.parametrize(("is_on", "warns"), [(True, False), (None, False), (False, True)])
def test_tensorflow_first(monkeypatch, recwarn, is_on, warns):
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    monkeypatch.setattr(onednn, "is_on", lambda: is_on)
    onednn.switch_on()
    assert onednn.VARIABLE not in os.environ
    assert [str(warning.message) for warning in recwarn] == [
        "TensorFlow was imported before tfvid and runs without oneDNN: explanations and training take 2 to 5 times as "
        "long on this CPU. Import tfvid first, or set TF_ENABLE_ONEDNN_OPTS=1 before Python starts; "
        "TF_ENABLE_ONEDNN_OPTS=0 hides this message."
    ] * warns
