"""The log format, as far as its writer and its reader must agree: names, the version, what belongs to a clip.

One tag is one clip of one method, ``<name>/<clip id>``. Its value at a step is a sequence of blobs:

    [0]      JSON, see docs/tensorboard.md
    [1..T]   the clip's frames, JPEG
    then     T' maps, 8-bit grey PNG, if there is a map
    then     T perturbed frames, JPEG, where the perturbation is not a mixing of frames

The plugin runs inside TensorBoard, where a failing import would take everything down: nothing here needs more than
TensorBoard itself.
"""

import json
import re
from typing import NamedTuple

from tensorboard.compat.proto import summary_pb2

PLUGIN_NAME = "tfvid"
VERSION = 1


class Clip(NamedTuple):
    """Which clip a tag holds: the name it was logged under (a method, mostly) and its id."""

    name: str
    id: str

    @property
    def tag(self) -> str:
        """``<name>/<id>``, in which quotes, backslashes and line breaks are written %22, %5C, %0A.

        TensorBoard's data server lists tags with such characters but cannot read them: a blob's key is JSON, which it
        parses as if no string in it had an escape.
        """
        return re.sub(r'[%"\\\x00-\x1f]', lambda match: f"%{ord(match[0]):02X}", f"{self.name}/{self.id}")


def create(clip: Clip, description: str | None = None) -> summary_pb2.SummaryMetadata:
    """The metadata of a clip's tag; the data class is what makes TensorBoard list it."""
    content = json.dumps({"version": VERSION, "name": clip.name, "clip": clip.id})
    return summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content.encode()),
        summary_description=description or "",
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )


def read(tag: str, content: bytes) -> Clip | None:
    """The clip that a tag with this plugin content holds; None where `create` did not make the content."""
    fields = read_json(content)
    if fields is None or fields.get("version") != VERSION:
        return None
    name, id = fields.get("name"), fields.get("clip")
    if not (isinstance(name, str) and isinstance(id, str)):
        return None
    clip = Clip(name, id)
    return clip if clip.tag == tag else None


def read_json(text: bytes) -> dict | None:
    """A JSON object; None for anything else."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def count(fields: dict) -> int | None:
    """How many blobs a clip with this JSON has, itself included; None where it does not say."""
    heat, perturbed = fields.get("map"), fields.get("perturbed_frames")
    frames = fields.get("num_frames")
    maps = 0 if heat is None else heat.get("frames") if isinstance(heat, dict) else None
    if type(frames) is not int or type(maps) is not int or type(perturbed) is not bool or min(frames, maps) < 0:
        return None
    return 1 + frames + maps + perturbed * frames
