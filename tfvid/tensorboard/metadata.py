"""The parts of the log format that its writer and its reader share: tag names, the version, the order of the blobs.

One tag holds one clip of one method, ``<name>/<clip id>``. Its value at a step is a sequence of blobs:

    [0]      JSON, see docs/tensorboard.md
    [1..T]   the clip's frames, JPEG
    then     T' maps, 8-bit grey PNG, if the explanation has a map
    then     T perturbed frames, JPEG, if the perturbation is not a mixture of frames

The plugin imports this module inside TensorBoard, and a failed import stops TensorBoard. The module therefore imports
only TensorBoard and the standard library.
"""

import json
import re
from typing import NamedTuple

from tensorboard.compat.proto import summary_pb2

PLUGIN_NAME = "tfvid"
VERSION = 1


class Clip(NamedTuple):
    """The clip that a tag holds: the name it was logged under (usually the method) and its id."""

    name: str
    id: str

    @property
    def tag(self) -> str:
        """``<name>/<id>``, with per cent signs, quotes, backslashes and control characters as %25, %22, %5C, %0A.

        TensorBoard's data server lists tags with such characters but cannot read them: a blob's key is JSON, and the
        data server parses it without support for escapes in strings.
        """
        return re.sub(r'[%"\\\x00-\x1f]', lambda match: f"%{ord(match[0]):02X}", f"{self.name}/{self.id}")


def create(clip: Clip, description: str | None = None) -> summary_pb2.SummaryMetadata:
    """Returns the metadata of a clip's tag. TensorBoard lists the tag because of its data class."""
    content = json.dumps({"version": VERSION, "name": clip.name, "clip": clip.id})
    return summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content.encode()),
        summary_description=description or "",
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )


def read(tag: str, content: bytes) -> Clip | None:
    """Returns the clip of a tag with this plugin content; None if `create` did not write the content."""
    fields = read_json(content)
    if fields is None or fields.get("version") != VERSION:
        return None
    name, id = fields.get("name"), fields.get("clip")
    if not (isinstance(name, str) and isinstance(id, str)):
        return None
    clip = Clip(name, id)
    return clip if clip.tag == tag else None


def read_json(text: bytes) -> dict | None:
    """Parses a JSON object; returns None for any other text."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def count(fields: dict) -> int | None:
    """Returns the number of blobs of a clip with this JSON, the JSON included; None if the fields are invalid."""
    heat, perturbed = fields.get("map"), fields.get("perturbed_frames")
    frames = fields.get("num_frames")
    maps = 0 if heat is None else heat.get("frames") if isinstance(heat, dict) else None
    if type(frames) is not int or type(maps) is not int or type(perturbed) is not bool or min(frames, maps) < 0:
        return None
    return 1 + frames + maps + perturbed * frames
