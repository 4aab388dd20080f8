"""``tfvid check``: fails if a new model is worse than given limits, for continuous integration."""

import argparse
import sys
from pathlib import Path

from tfvid.cli.audit_options import add_audit_options, audit_arguments, data_config, split_overrides
from tfvid.cli.model_options import load_config_of
from tfvid.cli.results_folder import check_folder
from tfvid.cli.tensorflow_log import load_tensorflow
from tfvid.core.errors import ConfigError
from tfvid.core.files import replacing
from tfvid.core.stopping import stoppable


@stoppable()
def main(argv: list[str]) -> None:
    """Parses `argv`, audits what has no audit yet, tests the conditions; exits with code 1 if one fails."""
    overrides, rest = split_overrides(argv)
    arguments = _parser().parse_args(rest)
    if arguments.list:
        _print_quantities()
        return
    _check_arguments(arguments)
    load_tensorflow()

    from tfvid.experiments.audit.check import compared, markdown, outcomes, write_junit
    from tfvid.experiments.audit.conditions import parse
    from tfvid.experiments.audit.quantities import read

    conditions = [parse(text) for text in arguments.fail_if]  # an error in one comes before the work
    old, new = (_folder(arguments, overrides, which) for which in ("old", "new"))
    after = compared(old, new)
    found = outcomes(conditions, after)
    for one in found:
        print(f"{'FAILED' if one.failed else 'passed'}: {one.message}")
    names = read(old)["model"], read(new)["model"]
    write_junit(arguments.junit or arguments.out / "check.xml", found, names[1])
    with replacing(arguments.markdown or arguments.out / "check.md") as temporary:
        text = markdown(found, *names, read(old)["quantities"], after)
        temporary.write_text(text, encoding="utf-8")
    if any(one.failed for one in found):
        sys.exit(1)


def _print_quantities() -> None:
    from tfvid.experiments.audit.quantities import AGAINST_OLD, QUANTITIES

    for name, words in (QUANTITIES | AGAINST_OLD).items():
        print(f"{name:34} {words}")


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Raises ConfigError if an argument is missing."""
    if arguments.old is None or arguments.new is None:
        raise ConfigError(
            "expected two models or folders of audits: tfvid check OLD NEW --data D --fail-if 'top1 < 0.80'"
        )
    if not arguments.fail_if:
        raise ConfigError("expected a condition, e.g. --fail-if 'top1 < 0.80'; tfvid check --list names the quantities")
    check_folder(arguments.out)


def _folder(arguments: argparse.Namespace, overrides: list[str], which: str) -> Path:
    """Returns the folder of the audit that an argument names, or that of a new audit of the model that it names."""
    from tfvid.experiments.audit import audit
    from tfvid.experiments.audit.check import is_audit

    given = getattr(arguments, which)
    if is_audit(given):
        return given
    if arguments.data is None:
        raise ConfigError(f"{given}: is no folder of an audit; to audit it as a model, name the clips with --data")
    folder = arguments.out / which
    load = load_config_of(arguments).load_options()
    audit(given, data_config(arguments, overrides), folder, load=load, **audit_arguments(arguments))
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tfvid check",
        description="Compare a new model with an old one, and fail if a condition is met. Models are audited first, "
        "see tfvid audit; a folder of a finished audit is read.",
        epilog="Exit code: 0 if no condition is met, 1 if one is, if its quantity is not known, or after an error.",
    )
    parser.add_argument("old", nargs="?", type=Path, metavar="OLD", help="the old model, or the folder of its audit")
    parser.add_argument("new", nargs="?", type=Path, metavar="NEW", help="the new model, or the folder of its audit")
    parser.add_argument(
        "--fail-if",
        action="append",
        metavar="CONDITION",
        default=[],
        help="a condition on the new model, e.g. 'top1 < 0.80' or 'mask_iou_with_old < 0.6'; repeat it for more",
    )
    parser.add_argument("--list", action="store_true", help="list the quantities that conditions can name, and end")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/check"), help="folder for audits and results (default: %(default)s)"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML (default: check.xml in the folder)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="summary (default: check.md in the folder)")
    add_audit_options(parser, data_needed=False)
    return parser
