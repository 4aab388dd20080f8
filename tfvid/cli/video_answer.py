"""Explains one video file for ``tfvid app``, and shows the answer as HTML."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tfvid.adapters.makes import classifier_of
from tfvid.core.errors import TfvidError, VideoError
from tfvid.data.decode.clip import Sample
from tfvid.data.decode.worker import DecodePool
from tfvid.data.sources.original_frames import OriginalFrames
from tfvid.data.sources.video_files import read_clip
from tfvid.explain.explainers import explainer
from tfvid.export.viewers.clips import ViewedClip, explained_clips
from tfvid.models.loaded import Loaded
from tfvid.report import film
from tfvid.report.overlay import LONG_SIDE
from tfvid.report.rendering import render
from tfvid.report.style import LIGHT

TOP = 5  # classes that the answer lists
FPS = 5.0


@dataclass(frozen=True)
class Answer:
    """What the model answers for one video, and why.

    Attributes:
      clip: the clip with its original frames, heat, mask and scores.
      top: the most probable classes with their probabilities, highest first.
      damage: what is wrong with the file; "" for nothing known.
      is_trusted: whether the mask shows which frames the class needs, see `tfvid.metrics.masks.is_trusted`; None
        without a mask.
    """

    clip: ViewedClip
    top: list[tuple[str, float]]
    damage: str = ""
    is_trusted: bool | None = None


class VideoExplainer:
    """Explains video files with one model. Child processes decode the files, as in `tfvid.read_clip`.

    Use it as a context manager, which ends the child process at the end.

    Args:
      loaded: the model.
      options: options of the explainers, by method.
    """

    def __init__(self, loaded: Loaded, options: Mapping[str, Mapping[str, Any]] | None = None):
        self.loaded, self.options = loaded, dict(options or {})
        self._classifier = classifier_of(loaded.model)
        self._explainers: dict[str, Any] = {}  # they keep what they have compiled
        self._pool = DecodePool(OriginalFrames(), 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.close()

    def __call__(self, path: str | Path, methods: Sequence[str], target: str | None = None) -> Answer:
        """Explains one video.

        Args:
          path: the video file.
          methods: names of explainers, one or more.
          target: the name of the class to explain; None: the predicted class.

        Raises:
          VideoError: the file cannot be decoded.
          TfvidError: no method, or one that does not apply to the model.
        """
        if not methods:
            raise TfvidError("methods: expected one or more, got none")
        names, num_frames = self.loaded.card.class_names, self.loaded.num_frames
        clips = read_clip(path, num_frames, self.loaded.size)[np.newaxis]
        shown = self._pool.read(Sample("", -1, str(path)), num_frames, (LONG_SIDE, LONG_SIDE))
        index = None if target is None else names.index(target)
        results = {method: self._explainer(method)(clips, target=index) for method in methods}
        (clip,) = explained_clips(results, clips, class_names=names, names=[Path(path).name])
        trusted = [bool(result.is_trusted[0]) for result in results.values() if hasattr(result, "is_trusted")]
        return Answer(
            replace(clip, frames=shown.frames, seconds=shown.seconds),
            self._top(clips),
            shown.damage,
            trusted[0] if trusted else None,
        )

    def _explainer(self, method: str):
        if method not in self._explainers:
            options = dict(self.options.get(method, {}))
            if method == "grad_cam":
                options.setdefault("layer", self.loaded.card.layer)
            self._explainers[method] = explainer(method, self.loaded.model, **options)
        return self._explainers[method]

    def _top(self, clips: np.ndarray) -> list[tuple[str, float]]:
        checked = self._classifier.checked(clips)
        self._classifier.prepare(checked)
        scores = self._classifier.probabilities(checked).numpy()[0]
        order = np.argsort(-scores, kind="stable")[:TOP]
        return [(self.loaded.card.class_names[index], float(scores[index])) for index in order]


def answer_html(answer: Answer) -> str:
    """Returns an answer as HTML, with its films inside; all text is escaped."""
    clip = answer.clip
    cells = [] if clip.mask is None else [float(value) for value in clip.mask]
    seconds = [float(second) for second in clip.seconds]
    windows = [(first, last, seconds[first : last + 1]) for first, last in clip.windows()]
    return render(
        "answer.html", answer=answer, clip=clip, cells=cells, seconds=seconds, windows=windows, films=_films(clip)
    )


def refusal_html(error: TfvidError, path: str | Path | None = None) -> str:
    """Returns an error as HTML; the name of a video stands for the path of its upload."""
    reason = f"{Path(path).name}: {error.reason}" if path and isinstance(error, VideoError) else str(error)
    return render("refusal.html", reason=reason)


def _films(clip: ViewedClip) -> list[tuple[str, str]]:
    """A film of each panel with the strip of the mask below it: its title, and its URL, which holds the film."""
    films = []
    with TemporaryDirectory(prefix="tfvid-") as folder:
        for panel in clip.panels():
            frames = film.compose((panel,), clip.mask, theme=LIGHT)
            data = film.save(Path(folder) / "film.webp", frames, FPS).read_bytes()
            films.append((panel.title, f"data:image/webp;base64,{base64.b64encode(data).decode()}"))
    return films
