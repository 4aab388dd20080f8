"""Validates the JSON of a clip before the page draws it, because log files are untrusted.

docs/tensorboard.md describes the fields.
"""

import math

MOST_FRAMES, LONGEST_SIDE = 1024, 8192  # of a clip, pixels


def problem(fields: dict) -> str | None:
    """Returns the first error in a clip's JSON as one line that names the field; None if the JSON is valid.

    Args:
      fields: the parsed JSON.
    """
    if not _is_whole(fields.get("num_frames"), 1, MOST_FRAMES):
        return f"expected 'num_frames' to be a whole number from 1 to {MOST_FRAMES}"
    length = fields["num_frames"]
    for name, (is_right, expected) in EXPECTED.items():
        if not is_right(fields.get(name), length):
            return f"expected {name!r} to be {expected}"
    return None


def _is_whole(value, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_whole(side, 1, LONGEST_SIDE) for side in value)


def _is_map(value, length: int) -> bool:
    return value is None or (
        isinstance(value, dict)
        and _is_whole(value.get("frames"), 1, MOST_FRAMES)
        and _is_size(value.get("size"))
        and all(_is_number(value.get(limit)) for limit in ("low", "high"))
        and isinstance(value.get("signed"), bool)
    )


def _is_mask(value, length: int) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == length and all(level is None or _is_number(level) for level in value)
    )


def _is_mixing(value, length: int) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == length and all(_is_mixture(row, length) for row in value)
    )


def _is_mixture(row, length: int) -> bool:
    return (
        isinstance(row, list)
        and 1 <= len(row) <= length
        and all(
            isinstance(part, list) and len(part) == 2 and _is_whole(part[0], 0, length - 1) and _is_number(part[1])
            for part in row
        )
    )


def _is_scores(value, length: int) -> bool:
    return isinstance(value, dict) and all(score is None or _is_number(score) for score in value.values())


def _is_labels(value, length: int) -> bool:
    roles = ("target", "predicted", "true")
    return isinstance(value, dict) and all(
        role in value and (value[role] is None or isinstance(value[role], str)) for role in roles
    )


def _is_event(value, length: int) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) == 2
        and all(_is_whole(frame, 0, length) for frame in value)
        and value[0] < value[1]
    )


# For each field: a test of the value, given the number of frames, and a description of valid values.
EXPECTED = {
    "method": (lambda value, length: isinstance(value, str), "text"),
    "size": (lambda value, length: _is_size(value), f"[height, width], each from 1 to {LONGEST_SIDE} pixels"),
    "map": (_is_map, "null, or an object with frames, size, low, high and signed"),
    "mask": (_is_mask, "null, or a number or null for each frame"),
    "perturbation": (lambda value, length: value is None or isinstance(value, str), "null or text"),
    "mixing": (_is_mixing, "null, or a list of [frame, weight] for each frame"),
    "perturbed_frames": (lambda value, length: isinstance(value, bool), "true or false"),
    "scores": (_is_scores, "an object of numbers or null"),
    "labels": (_is_labels, "an object with target, predicted and true, each text or null"),
    "event": (_is_event, "null, or [start, stop] within the frames"),
}
