"""``tfvid-compare``: the paper's study of two or more models, as tables, figures and a page."""

import argparse
from pathlib import Path

from tfvid.config import StudyConfig, load


def main(argv: list[str]) -> None:
    """Parses `argv`, runs the study, and says what it found."""
    arguments = _parser().parse_intermixed_args(argv)
    config = load(arguments.config, arguments.overrides, StudyConfig)
    out = arguments.out or Path("runs") / config.name

    from tfvid.study import run
    from tfvid.study.document import write_document
    from tfvid.study.findings import WORDS

    report = run(config, out)
    for finding in report["findings"]:
        print(f"{finding['question']} {WORDS[finding['holds']]}\n  {finding['answer']}")
    if arguments.document:
        print(f"document: {write_document(out, arguments.document, arguments.config)}")
    print(f"tables: {out / 'tables'}\nopen in a browser: {out / 'index.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid-compare",
        description="Compare video classifiers: what they look at, and when. A run that was stopped goes on where it "
        "was.",
    )
    parser.add_argument("--config", required=True, help="a study's YAML file, e.g. configs/study_shapes.yaml")
    parser.add_argument("--out", type=Path, help="folder for the results (runs/<name of the study>)")
    parser.add_argument("--document", type=Path, help="also write what was found as Markdown, e.g. docs/study.md")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. data.root=/data/ssv2 mask.iterations=9")
    return parser
