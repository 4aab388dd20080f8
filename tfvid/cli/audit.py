"""``tfvid audit``: reports what a model needs, when and where it looks, and which shortcuts would do."""

import argparse
from pathlib import Path

from tfvid.cli.audit_options import add_audit_options, audit_arguments, data_config, split_overrides
from tfvid.cli.model_options import load_config_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.core.stopping import stoppable


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, audits the model, and prints the findings."""
    overrides, rest = split_overrides(argv)
    arguments = _parser().parse_args(rest)
    data = data_config(arguments, overrides)
    check_folder(arguments.out)

    load_tensorflow()

    from tfvid.experiments.audit import audit
    from tfvid.report.finding import WORDS

    load = load_config_of(arguments).load_options()
    found = audit(arguments.model, data, arguments.out, load=load, **audit_arguments(arguments))
    for id, reason in found.skipped.items():
        print(f"skipped: {id}: {reason}")
    for finding in found.findings:
        print(f"{finding['question']} {WORDS[finding['holds']]}\n  {finding['answer']}")
    print(f"numbers: {arguments.out / 'audit.json'}")
    print(f"page: {found.page}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid audit",
        description="Audit a video model: its accuracy on clips as they are and under interventions (reversed, one "
        "frame repeated, another background, ...), when and where it looks, and shortcuts. A run that was stopped "
        "continues where it stopped.",
        epilog="Further arguments of the form data.key=value change a setting of the data, e.g. data.options.fold=1.",
    )
    parser.add_argument("--model", required=True, type=Path, help="the model, as for tfvid explain")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/audit"), help="folder for the results (default: %(default)s)"
    )
    add_audit_options(parser, data_needed=True)
    return parser
