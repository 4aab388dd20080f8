"""``tfvid benchmark``: measures every attribution method by every measure, on each network."""

from tfvid.cli.experiment import experiment_parser, parse, print_findings
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import AttributionConfig
from tfvid.core.stopping import stoppable


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, runs the benchmark, and prints its findings."""
    parser = experiment_parser(
        "benchmark",
        "Compare attribution methods by objective measures and by the known event, on the same clips.",
        config="configs/attribution_bench.yaml",
        document="docs/attribution.md",
        override="seed=1 data.root=/data/ucf101",
    )
    arguments, config = parse(parser, argv, AttributionConfig)

    load_tensorflow()

    from tfvid.experiments.attribution import run
    from tfvid.experiments.attribution.document import write_document

    report = run(config, arguments.out)
    print_findings(report, arguments, write_document)
    print(f"figures: {arguments.out / 'figures'}")
