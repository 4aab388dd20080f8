"""Writes the Markdown document of an experiment from ``report.json``, e.g. docs/study.md and docs/attribution.md."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from tfvid.core.files import replacing
from tfvid.report.finding import Finding
from tfvid.report.markdown import plain
from tfvid.report.report_file import read_report_file
from tfvid.report.table import Table


def write_document(folder, path, kind: str, parts: Callable[[dict, Path, Path], Sequence[str]]) -> Path:
    """Writes the document of the experiment in `folder`.

    Args:
      folder: of a finished experiment.
      path: of the Markdown file; its figures are written into ``images/`` beside it.
      kind: the kind of experiment, for the error message, e.g. "a study".
      parts: the function that makes the paragraphs of the document: ``(report, folder, path)`` to a list of texts.

    Returns:
      `path`.

    Raises:
      DataError: there is no report in `folder`.
    """
    folder, path = Path(folder), Path(path)
    texts = parts(read_report_file(folder, kind), folder, path)
    with replacing(path) as temporary:
        temporary.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return path


def figure(file: Path, text: str, path: Path, *, shrink: int = 1, quality: int = 85) -> str:
    """Copies a figure into ``images/`` beside the document at `path`. Pictures of clips are converted to JPEG.

    Args:
      file: the PNG file.
      text: the alternative text.
      path: of the document.
      shrink: the factor by which each side of a picture of a clip is reduced.
      quality: of the JPEG file, 1 to 95.

    Returns:
      The line of Markdown that shows the figure.
    """
    is_clip = file.name.startswith("clip_")
    place = path.parent / "images" / f"{path.stem}_{file.stem}{'.jpg' if is_clip else '.png'}"
    with replacing(place) as temporary, Image.open(file) as picture:
        if is_clip:
            picture.convert("RGB").reduce(shrink).save(temporary, "JPEG", quality=quality)
        else:
            picture.convert("RGB").save(temporary, "PNG", optimize=True)
    return f"![{plain(text)}](images/{place.name})"


def findings_section(findings: Sequence[Mapping]) -> str:
    """Returns the section with a report's findings as a numbered list."""
    lines = [f"{place}. {Finding(**finding).markdown()}" for place, finding in enumerate(findings, 1)]
    return "## Findings\n\n" + "\n".join(lines)


def table_section(table: Table, text: str, *between: str) -> list[str]:
    """Returns the section of a table: title, caption, the paragraphs `between`, and its rows as Markdown, `text`."""
    return [f"## {plain(table.title)}", plain(table.caption), *between, text]


def folded(rows: int, text: str) -> str:
    """Returns a Markdown table of `rows` rows that is collapsed until the reader opens it."""
    return f"<details><summary>{rows} rows</summary>\n\n{text}\n\n</details>"


def bullets(title: str, lines: Sequence[str]) -> str:
    """Returns a section with a bullet list."""
    return f"## {title}\n\n" + "\n".join(f"* {line}" for line in lines)


def made_of(manifest: Mapping, name: Callable[[str, Mapping], str]) -> list[str]:
    """Returns lines that state the weights of each model, the clips and the package versions of an experiment.

    Args:
      manifest: of the experiment.
      name: a function from the group of a model and its entry in the manifest to the name of the model.
    """
    return [
        *(
            f"{plain(name(group, model))}: weights `{model['weights']}`"
            for group, models in manifest["models"].items()
            for model in models
        ),
        f"clips: fingerprint `{manifest['dataset']['fingerprint']}`",
        ", ".join(f"{package} {version}" for package, version in manifest["packages"].items()),
    ]
