"""The common parts of ``tfvid compare`` and ``tfvid benchmark``: the options, and the printed findings."""

import argparse
from pathlib import Path
from typing import Any

from tfvid.cli.limit import add_limit
from tfvid.cli.overrides import add_overrides
from tfvid.cli.results_folder import check_folder
from tfvid.config import load


def experiment_parser(
    name: str, description: str, *, config: str, document: str, override: str
) -> argparse.ArgumentParser:
    """Returns the parser of ``tfvid <name>``.

    Args:
      name: the name of the subcommand.
      description: one sentence that describes it.
      config: an example of a YAML file, for the help.
      document: an example of a Markdown file, for the help.
      override: examples of settings, for the help.
    """
    parser = argparse.ArgumentParser(
        prog=f"tfvid {name}", description=f"{description} A run that was stopped continues where it stopped."
    )
    parser.add_argument("--config", required=True, help=f"YAML file that describes the run, e.g. {config}")
    parser.add_argument(
        "--out", type=Path, help="folder for the results (default: runs/<name>, with the name in the YAML file)"
    )
    parser.add_argument("--document", type=Path, help=f"also write the findings to this Markdown file, e.g. {document}")
    add_limit(parser, without="as in the YAML file")
    add_overrides(parser, f"settings of the file to change: {override}")
    return parser


def parse(parser: argparse.ArgumentParser, argv: list[str], kind: type) -> tuple[argparse.Namespace, Any]:
    """Returns the arguments, with ``out`` filled in, and the configuration of type `kind`."""
    arguments = parser.parse_intermixed_args(argv)
    limit = [] if arguments.limit is None else [f"limit={arguments.limit}"]
    config = load(arguments.config, [*arguments.overrides, *limit], kind)
    arguments.out = arguments.out or Path("runs") / config.name
    check_folder(arguments.out)
    return arguments, config


def print_findings(report: dict, arguments: argparse.Namespace, write_document) -> None:
    """Prints the findings of a report. With ``--document``, also writes them to a Markdown file."""
    from tfvid.report.finding import WORDS

    for finding in report["findings"]:
        print(f"{finding['question']} {WORDS[finding['holds']]}\n  {finding['answer']}")
    if arguments.document:
        print(f"document: {write_document(arguments.out, arguments.document, arguments.config)}")
    print(f"tables: {arguments.out / 'tables'}")
