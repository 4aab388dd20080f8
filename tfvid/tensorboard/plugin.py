"""The TensorBoard plugin "Video explanations": serves the explanations that `summary` logs, and the page of the tab.

Routes, all GET, below ``/data/plugin/tfvid/``:

    tags                         JSON {run: {name: {"description": str, "clips": [clip id, ...]}}}
    steps?run=&name=&clip=       JSON [{"step": int, "wall_time": float}, ...], ascending
    sample?run=&name=&clip=&step=  a clip's blobs: their number, their lengths, then their bytes
    index.js, ...                the page

TensorBoard imports this module when it starts, and a failed import stops TensorBoard. The module therefore imports
no packages except TensorBoard and its dependencies. Log files are untrusted: they never determine the content type of
a response, and the page treats them as data only. A clip is served only if it is complete, matches the format, and is
not larger than `MOST_BYTES`.
"""

import re
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.data import provider
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from tfvid.core.errors import one_line, unknown
from tfvid.tensorboard import clip_json, metadata

PAGE = Path(__file__).parent / "static"
SHARED = Path(__file__).parents[1] / "report" / "static" / "download.js"  # which the page of a run uses, too
PAGE_TYPES = {".js": "text/javascript", ".css": "text/css"}

# Headers of every response: a response opened on its own loads and runs nothing, and other sites cannot read or embed
# it.
GUARDS = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]

MOST_BYTES = 256 << 20  # of one clip; 16 frames of 224x224 with their maps take about 150 KB
BLOBS_AT_ONCE = 32

STEPS = 10  # number of steps per clip if --samples_per_plugin does not set it; TensorBoard's default


class UnreadableError(errors.PublicError):
    """A logged clip does not match the format."""

    http_code = 422


class VideoExplanations(base_plugin.TBPlugin):
    """The plugin.

    Args:
      context: the `tensorboard.plugins.base_plugin.TBContext` that TensorBoard passes to a plugin.
    """

    plugin_name = metadata.PLUGIN_NAME

    def __init__(self, context):
        self._data = context.data_provider
        # 0 means that TensorBoard keeps every step; the plugin then requests all of them.
        self._steps = (context.sampling_hints or {}).get(self.plugin_name, STEPS) or 2**31 - 1

    def is_active(self):
        return False  # TensorBoard itself checks whether there is data

    def frontend_metadata(self):
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Video explanations")

    def get_plugin_apps(self):
        own = [file for file in PAGE.glob("*") if file.suffix in PAGE_TYPES]
        files = {f"/{file.name}": _route(_page_file(file)) for file in [*own, SHARED]}
        data = {"/tags": self._tags, "/steps": self._steps_of_clip, "/sample": self._sample}
        return files | {route: _route(answer) for route, answer in data.items()}

    def _tags(self, request):
        tags = {}
        for run, clips in self._clips(request).items():
            names = tags.setdefault(run, {})
            for clip, description in clips.items():
                names.setdefault(clip.name, {"description": description, "clips": []})["clips"].append(clip.id)
            for name in names.values():
                name["clips"].sort(key=_natural)
        return tags, "application/json"

    def _steps_of_clip(self, request):
        steps = [{"step": datum.step, "wall_time": datum.wall_time} for datum in self._series(request)]
        return steps, "application/json"

    def _sample(self, request):
        step = _parameter(request, "step")
        if not re.fullmatch("-?[0-9]{1,19}", step):
            raise errors.InvalidArgumentError(_line(f"step: expected a whole number, got {_line(step, 200)!r}"))
        series = {datum.step: datum for datum in self._series(request)}
        if int(step) not in series:
            raise _not_found("step", step, series)
        keys = [reference.blob_key for reference in series[int(step)].values]
        blobs = self._blobs(plugin_util.context(request.environ), keys)
        lengths = struct.pack(f"<{1 + len(blobs)}I", len(blobs), *map(len, blobs))
        return lengths + b"".join(blobs), "application/octet-stream"

    def _blobs(self, context, keys: list[str]) -> list[bytes]:
        """Reads a clip's blobs. The first blob, the JSON, is validated before the others are read."""
        blobs = [self._blob(context, key) for key in keys[:1]]
        _check(blobs, len(keys))
        with ThreadPoolExecutor(8) as pool:  # the data server's latency, not reading, takes the time
            for start in range(1, len(keys), BLOBS_AT_ONCE):
                blobs += pool.map(partial(self._blob, context), keys[start : start + BLOBS_AT_ONCE])
                if sum(map(len, blobs)) > MOST_BYTES:
                    raise UnreadableError(f"expected a clip of at most {MOST_BYTES >> 20} MiB, got more")
        return blobs

    def _blob(self, context, key: str) -> bytes:
        try:
            blob = self._data.read_blob(context, blob_key=key)
        except (TypeError, ValueError, LookupError) as error:  # a tensor of another rank, or one that cannot be decoded
            raise UnreadableError(_line(f"expected a list of blobs, got a tensor that is not: {error}")) from error
        if not isinstance(blob, bytes):
            raise UnreadableError(f"expected blobs, got {type(blob).__name__}")
        return blob

    def _series(self, request) -> list[provider.BlobSequenceDatum]:
        """Returns the steps of the requested clip in ascending order."""
        run = _parameter(request, "run")
        clip = metadata.Clip(_parameter(request, "name"), _parameter(request, "clip"))
        runs = self._clips(request, run)
        if run not in runs:
            raise _not_found("run", run, self._clips(request))
        names = {known.name for known in runs[run]}
        if clip.name not in names:
            raise _not_found("name", clip.name, sorted(names))
        if clip not in runs[run]:
            valid = sorted((known.id for known in runs[run] if known.name == clip.name), key=_natural)
            raise _not_found("clip", clip.id, valid)
        series = self._data.read_blob_sequences(
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            plugin_name=self.plugin_name,
            downsample=self._steps,
            run_tag_filter=provider.RunTagFilter([run], [clip.tag]),
        )
        return sorted(series.get(run, {}).get(clip.tag, ()), key=lambda datum: datum.step)

    def _clips(self, request, run: str | None = None) -> dict[str, dict[metadata.Clip, str]]:
        """Returns the clips of each run with the descriptions of their tags. Tags of other writers are ignored.

        Args:
          request: the HTTP request.
          run: the only run to list; None for all.
        """
        listed = _settled(
            lambda: self._data.list_blob_sequences(
                plugin_util.context(request.environ),
                experiment_id=plugin_util.experiment_id(request.environ),
                plugin_name=self.plugin_name,
                run_tag_filter=None if run is None else provider.RunTagFilter(runs=[run]),
            )
        )
        runs = {}
        for run, tags in listed.items():
            read = {tag: metadata.read(tag, series.plugin_content) for tag, series in tags.items()}
            clips = {clip: tags[tag].description for tag, clip in read.items() if clip is not None}
            if clips:
                runs[run] = clips
        return runs


def _settled(ask, attempts: int = 50):
    """Returns the result of `ask`, and repeats the call after a KeyError.

    TensorBoard's Python reader lists a tag shortly before it holds the tag's first value, and raises KeyError then.
    """
    for _ in range(attempts - 1):
        try:
            return ask()
        except KeyError:
            time.sleep(0.02)
    return ask()


def _route(answer):
    """Makes a WSGI application from a function that maps a request to content and content type.

    A `PublicError` becomes a response of one line of plain text with the error's HTTP code.
    """

    @wrappers.Request.application
    def serve(request):
        code = 200
        if request.method not in ("GET", "HEAD"):
            content, kind, code = "expected GET", "text/plain", 405
        else:
            try:
                content, kind = answer(request)
            except errors.PublicError as error:
                content, kind, code = _line(str(error)), "text/plain", error.http_code
        return http_util.Respond(request, content, kind, code=code, headers=GUARDS)

    return serve


def _page_file(file: Path):
    """Returns a function that serves one file of the page."""
    return lambda request: (file.read_bytes(), PAGE_TYPES[file.suffix])


def _check(blobs: list[bytes], count: int):
    """Raises UnreadableError unless the first blob is valid JSON of a clip that has `count` blobs."""
    fields = metadata.read_json(blobs[0]) if blobs else None
    if fields is None:
        raise UnreadableError("expected a clip that begins with a JSON object, got something else")
    if fields.get("version") != metadata.VERSION:
        raise UnreadableError(_line(f"expected a clip of version {metadata.VERSION}, got {fields.get('version')!r}"))
    if metadata.count(fields) != count:
        raise UnreadableError(f"expected {metadata.count(fields)} blobs as the clip's JSON says, got {count}")
    problem = clip_json.problem(fields)
    if problem:
        raise UnreadableError(f"{problem}, got something else in the clip's JSON")


def _parameter(request, name: str) -> str:
    value = request.args.get(name)
    if value is None:
        got = ", ".join(request.args) or "none"
        raise errors.InvalidArgumentError(_line(f"expected the parameter {name!r}, got {got}"))
    return value


def _not_found(kind: str, value: str, valid) -> errors.NotFoundError:
    return errors.NotFoundError(_line(unknown(kind, _line(value, 200), valid)))


def _line(text: str, longest: int = 2000) -> str:
    """Returns `text` as one line of at most `longest` characters."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[:longest]}…"


def _natural(text: str) -> tuple:
    """Returns a key that sorts "clip 9" before "clip 10"."""
    parts = re.split(r"(\d+)", text)
    numbers = [(len(digits.lstrip("0")), digits.lstrip("0")) for digits in parts[1::2]]
    return parts[0], list(zip(numbers, parts[2::2], strict=True)), text
