"""Options of commands that load a model: what its file alone does not say."""

from tfvid.config import LoadConfig


def add_model_options(parser):
    """Adds ``--input-range``, ``--channels``, ``--output`` and ``--custom`` to an argument parser."""
    options = parser.add_argument_group("models from elsewhere (what the card.json beside a model does not say)")
    options.add_argument(
        "--input-range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="what the model takes for black and white, e.g. 0 255 (what its first layers say, or else 0 1)",
    )
    options.add_argument("--channels", choices=("rgb", "bgr"), default="auto", help="order of its colours (rgb)")
    options.add_argument(
        "--output", choices=("logits", "probabilities"), default="auto", help="what it returns (as its last layer says)"
    )
    options.add_argument("--custom", metavar="FILE.py", help="a Python file with the model's own layers; it is run")


def load_config_of(arguments) -> LoadConfig:
    """What the options say."""
    return LoadConfig(
        input_range=None if arguments.input_range is None else tuple(arguments.input_range),
        channels=arguments.channels,
        output=arguments.output,
        custom=arguments.custom,
    )
