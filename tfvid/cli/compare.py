"""``tfvid compare``: the study of two or more models, as tables, figures and a page."""

from tfvid.cli.experiment import experiment_parser, parse, print_findings
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.config import StudyConfig
from tfvid.core.stopping import stoppable


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, runs the study, and prints its findings."""
    parser = experiment_parser(
        "compare",
        "Compare video classifiers: what they look at, and when.",
        config="configs/study_shapes.yaml",
        document="docs/study.md",
        override="data.root=/data/ssv2 mask.iterations=9",
    )
    arguments, config = parse(parser, argv, StudyConfig)

    load_tensorflow()

    from tfvid.experiments.study import run
    from tfvid.experiments.study.document import write_document

    report = run(config, arguments.out)
    print_findings(report, arguments, write_document)
    print(f"open in a browser: {arguments.out / 'index.html'}")
