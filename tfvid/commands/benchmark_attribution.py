"""``tfvid-benchmark-attribution``: every attribution method judged by every measure on every network."""

import argparse
from pathlib import Path

from tfvid.config import AttributionConfig, load


def main(argv: list[str]) -> None:
    """Parses `argv`, runs the benchmark, and says what it found."""
    arguments = _parser().parse_intermixed_args(argv)
    config = load(arguments.config, arguments.overrides, AttributionConfig)
    out = arguments.out or Path("runs") / config.name

    from tfvid.attribution import run
    from tfvid.attribution.document import write_document
    from tfvid.study.findings import WORDS

    report = run(config, out)
    for finding in report["findings"]:
        print(f"{finding['question']} {WORDS[finding['holds']]}\n  {finding['answer']}")
    if arguments.document:
        print(f"document: {write_document(out, arguments.document, arguments.config)}")
    print(f"tables: {out / 'tables'}\nfigures: {out / 'figures'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid-benchmark-attribution",
        description="Judge attribution methods by objective measures and by the truth, on the same clips. A run that "
        "was stopped goes on where it was.",
    )
    parser.add_argument("--config", required=True, help="a benchmark's YAML file, e.g. configs/attribution_bench.yaml")
    parser.add_argument("--out", type=Path, help="folder for the results (runs/<name of the benchmark>)")
    parser.add_argument("--document", type=Path, help="also write what was found as Markdown, e.g. docs/attribution.md")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. clips=4 data.root=/data/ucf101")
    return parser
