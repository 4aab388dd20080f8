"""TensorBoard with the plugin as a function in this process, for tests that ask it very often.

app = served(logdir)
answer = app.get("/data/plugin/tfvid/tags")
"""

from contextlib import suppress
from types import SimpleNamespace

from google.protobuf.message import DecodeError
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from werkzeug.test import Client

from tfvid.tensorboard.plugin import VideoExplanations

FLAGS = SimpleNamespace(path_prefix="", generic_data="true", logdir="", window_title="", samples_per_plugin={})


def served(logdir) -> Client:
    """A client of TensorBoard's whole WSGI application; an exception in it is raised here."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"tfvid": 0})
    multiplexer.AddRunsFromDirectory(str(logdir))
    with suppress(DecodeError):  # an event that is none: what came before it is there
        multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    return Client(application.TensorBoardWSGIApp(FLAGS, [VideoExplanations], provider))
