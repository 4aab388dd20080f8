"""The options of commands that load a model: properties that the file of the model does not contain."""

from tfvid.config import LoadConfig
from tfvid.network.model_format import OUTPUTS


def add_model_options(parser):
    """Adds ``--input-range``, ``--channels``, ``--output`` and ``--custom`` to an argument parser."""
    options = parser.add_argument_group("models without a card.json")
    options.add_argument(
        "--input-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="the values that the model expects for black and white, e.g. 0 255 (default: read from its first layers, "
        "else 0 1)",
    )
    options.add_argument(
        "--channels", choices=("rgb", "bgr"), default="auto", help="order of the colour channels (default: rgb)"
    )
    options.add_argument(
        "--output",
        choices=OUTPUTS[1:],
        default="auto",
        help="what the model returns (default: read from its last layer)",
    )
    options.add_argument(
        "--custom", metavar="FILE.py", help="a Python file that defines the model's own layers; tfvid runs it"
    )
    options.add_argument(
        "--describe",
        metavar="FILE.py:NAME",
        help="a function from the loaded model to its tfvid.VideoModel (other inputs, layouts, scores); tfvid runs it",
    )


def load_config_of(arguments) -> LoadConfig:
    """The values of the options."""
    return LoadConfig(
        input_range=None if arguments.input_range is None else tuple(arguments.input_range),
        channels=arguments.channels,
        output=arguments.output,
        custom=arguments.custom,
        describe=arguments.describe,
    )
