"""Whether a video file ends before its own header says that it does.

Only the sizes that containers store are read, some bytes of each part, so this takes microseconds:

* MP4 and MOV (ISO/IEC 14496-12) are a row of boxes, each with its size.
* AVI is a RIFF file; its list ``movi`` holds the frames.
* Matroska and WebM (RFC 8794, RFC 9559) have one segment with a size, which live recordings leave open.

Other containers (MPEG-TS, Ogg, FLV, ...) store no such size.
"""

import os

_BOXES = (b"mdat", b"moof", b"moov")  # of MP4; others may be missing without any loss of frames
_MOST_PARTS = 100_000  # boxes or chunks that are looked at


def missing_bytes(path) -> int:
    """The bytes by which the file is shorter than its header says; 0 where it is whole or nothing is known.

    Args:
      path: a file that can be read; any contents.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _end_of_boxes(file, size)
        elif head[:4] == b"RIFF" and head[8:] == b"AVI ":
            end = _end_of_movie_list(file, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _end_of_segment(file, size)
        else:
            end = 0
    return max(0, end - size)


def _end_of_boxes(file, size: int) -> int:
    """Where the last box of MP4 that matters ends."""
    place = end = 0
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or length < 8:  # the end, or a box that goes on to the end of the file
            break
        place += length
        if head[4:8] in _BOXES:
            end = place
        if place >= size:
            break
    return end


def _end_of_movie_list(file, size: int) -> int:
    """Where the list ``movi`` of the first RIFF chunk ends."""
    place = 12
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or place >= size:
            break
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"LIST" and head[8:] == b"movi":
            return place + 8 + length
        place += 8 + length + length % 2
    return 0


def _end_of_segment(file, size: int) -> int:
    """Where the segment of a Matroska file ends."""
    file.seek(4)
    length = _variable_size(file)
    if length is None or length > size:  # a damaged header may name a place that no file can have
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _variable_size(file)
    return 0 if length is None else file.tell() + length


def _variable_size(file) -> int | None:
    """Reads a size of EBML: its leading zero bits say how many bytes it has; None where it is left open."""
    first = file.read(1)
    if not first or first == b"\0":
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
