"""Renders the HTML templates of `tfvid.report`; all values are escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tfvid.report.links import beside
from tfvid.report.numbers import number
from tfvid.report.table import text_and_note


def render(template: str, **values) -> Markup:
    """Renders a template.

    Args:
      template: name of a file in ``tfvid/report/templates``.
      **values: its variables; text is escaped, `Markup` is not.

    Returns:
      HTML that other templates do not escape again.
    """
    return Markup(_environment().get_template(template).render(values))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tfvid.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"beside": beside, "number": number, "cell": text_and_note}
    return environment
