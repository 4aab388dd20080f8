"""``tfvid-benchmark-attribution``: every attribution method judged by every measure on every network."""

from tfvid.cli.found import checked, parser_of, tell
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import AttributionConfig
from tfvid.core.stopping import stoppable


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, runs the benchmark, and says what it found."""
    parser = parser_of(
        "benchmark-attribution",
        "Judge attribution methods by objective measures and by the truth, on the same clips.",
        config="configs/attribution_bench.yaml",
        document="docs/attribution.md",
        override="seed=1 data.root=/data/ucf101",
    )
    arguments, config = checked(parser, argv, AttributionConfig)

    load_tensorflow()

    from tfvid.experiments.attribution import run
    from tfvid.experiments.attribution.document import write_document

    report = run(config, arguments.out)
    tell(report, arguments, write_document)
    print(f"figures: {arguments.out / 'figures'}")
