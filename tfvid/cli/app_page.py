"""The page of ``tfvid app``, made with Gradio."""

from collections.abc import Sequence
from importlib.resources import files

from tfvid.cli.video_answer import VideoExplainer, answer_html, refusal_html
from tfvid.core.errors import TfvidError
from tfvid.explain.explainers import EXPLAINERS
from tfvid.report.rendering import render

PREDICTED = "the predicted class"
KEPT = 3600  # seconds after which an upload is deleted
SYSTEM_FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # none is fetched


def build(gradio, explain: VideoExplainer, methods: Sequence[str]):
    """Builds the page.

    Args:
      gradio: the package.
      explain: explains the videos.
      methods: the methods that are chosen at first.

    Returns:
      A `gradio.Blocks`.
    """
    card = explain.loaded.card
    head = render("app_head.html", name=explain.loaded.name, note=card.note, num_frames=explain.loaded.num_frames)

    def answer(path: str | None, chosen: list[str], target: str) -> str:
        if path is None:
            return ""
        try:
            return answer_html(explain(path, chosen, None if target == PREDICTED else target))
        except TfvidError as error:
            return refusal_html(error, path)

    with gradio.Blocks(
        title=f"tfvid: {explain.loaded.name}", analytics_enabled=False, delete_cache=(KEPT, KEPT)
    ) as page:
        gradio.HTML(head)
        with gradio.Row():
            with gradio.Column(scale=1, min_width=280):
                # A File, not a Video: Gradio would run FFmpeg on it, outside the confined decode process.
                video = gradio.File(label="Video", file_types=["video", ".mkv", ".avi", ".gif"], height=140)
                chosen = gradio.Dropdown(
                    sorted({*EXPLAINERS, *methods}), value=list(methods), multiselect=True, label="Methods"
                )
                target = gradio.Dropdown([PREDICTED, *card.class_names], value=PREDICTED, label="Explained class")
                button = gradio.Button("Explain", variant="primary")
            with gradio.Column(scale=3, min_width=300):
                shown = gradio.HTML(elem_id="answer")
        # One at a time: a model's functions are compiled once, and a video takes all cores.
        gradio.on([video.upload, button.click], answer, [video, chosen, target], shown, concurrency_limit=1)
    return page


def launch(page, host: str, port: int, max_upload: int, *, wait: bool = True):
    """Serves the page.

    Args:
      page: from `build`.
      host: the address to serve on.
      port: the port; 0 for any free one.
      max_upload: the largest video in megabytes.
      wait: whether to return only after Ctrl-C.
    """
    import gradio

    css = (files("tfvid.report") / "static" / "app.css").read_text(encoding="utf-8")
    return page.launch(
        server_name=host,
        server_port=port or None,
        share=False,
        max_file_size=f"{max_upload}mb",
        theme=gradio.themes.Default(**SYSTEM_FONTS),
        css=css,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=not wait,
    )
