"""Finds video files that end before the end that their header names.

Only the sizes and end marks in the container are read, a few bytes of each part:

* MP4 and MOV (ISO/IEC 14496-12) are a sequence of boxes, each with its size.
* AVI is a RIFF file; its list ``movi`` holds the frames.
* Matroska and WebM (RFC 8794, RFC 9559) have one segment with a size, which live recordings do not set.
* Y4M (the man page yuv4mpeg(5)) and raw DV (IEC 61834, SMPTE 314M) have frames of one size. A file that is cut off
  between two frames looks whole.
* Ogg (RFC 3533) is a sequence of pages, each with its size; the last page of each stream has a mark.
* GIF (GIF89a) ends with a trailer of one byte.

MPEG-TS, MPEG-PS, FLV, ASF and raw streams have no size or end mark that is used here.
"""

import os
import re

_BOXES = (b"mdat", b"moof", b"moov")  # of MP4; a file without the others has all its frames
_MOST_PARTS = 100_000  # the largest number of boxes or chunks that are read
_TAIL = 1 << 17  # bytes at the end of an Ogg file that are searched for its last page; a page has up to 65,307
_PADDING = b"\0\r\n "  # some programs write these after the trailer of a GIF
_DV_FRAMES = 120_000, 144_000  # bytes of a frame at 30 and at 25 frames a second; other kinds of DV have multiples
# Columns and rows of pixels that share one sample in the two chroma planes of Y4M; None if there are no such planes.
_Y4M_CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1), "mono": None}


def missing_bytes(path) -> int:
    """Returns the bytes by which a file is shorter than its header says; 0 if it is whole or nothing is known.

    Args:
      path: a readable file with any contents.
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
        elif head[:4] == b"OggS":
            end, _ = _last_page(file, size)
        elif head.startswith(b"YUV4MPEG2 "):
            end = _end_of_y4m_frame(file, size)
        elif head[:3] == b"\x1f\x07\x00":
            end = size + -size % _DV_FRAMES[head[3] >> 7]
        else:
            end = 0
    return max(0, end - size)


def lacks_end_mark(path) -> bool:
    """Returns whether a file is a GIF or an Ogg file without the end mark that its format requires.

    Args:
      path: a readable file with any contents.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(6)
        if head in (b"GIF87a", b"GIF89a"):
            file.seek(max(0, size - 1024))
            return not file.read().rstrip(_PADDING).endswith(b";")
        return head[:4] == b"OggS" and not _last_page(file, size)[1]


def _end_of_boxes(file, size: int) -> int:
    """Returns where the last of the `_BOXES` of an MP4 file ends."""
    place = end = 0
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or length < 8:  # the end, or a box that ends with the file
            break
        place += length
        if head[4:8] in _BOXES:
            end = place
        if place >= size:
            break
    return end


def _end_of_movie_list(file, size: int) -> int:
    """Returns where the list ``movi`` of the first RIFF chunk ends."""
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
    """Returns where the segment of a Matroska file ends."""
    file.seek(4)
    length = _variable_size(file)
    if length is None or length > size:  # a damaged header may name an impossible place
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _variable_size(file)
    return 0 if length is None else file.tell() + length


def _variable_size(file) -> int | None:
    """Reads a size of EBML, whose number of bytes follows from its leading zero bits; None if it is not set."""
    first = file.read(1)
    if not first or first == b"\0":
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _end_of_y4m_frame(file, size: int) -> int:
    """Returns where the last frame of a Y4M file ends, or would end if it were whole."""
    file.seek(0)
    line = file.readline(1024)
    fields = {field[:1]: field[1:] for field in line.decode("latin-1").split()[1:]}
    form = re.fullmatch(r"(420|422|444|411|mono)(jpeg|mpeg2|paldv)?(p?(9|10|12|14|16))?", fields.get("C", "420jpeg"))
    if not line.endswith(b"\n") or form is None or not all(fields.get(key, "").isdecimal() for key in "WH"):
        return 0
    width, height = int(fields["W"]), int(fields["H"])
    samples = width * height
    if shared := _Y4M_CHROMA[form[1]]:
        samples += 2 * -(-width // shared[0]) * -(-height // shared[1])
    mark = file.readline(1024)
    if not mark.startswith(b"FRAME") or not mark.endswith(b"\n") or not samples:
        return 0
    frame = len(mark) + samples * (2 if form[3] else 1)
    return size + -(size - len(line)) % frame


def _last_page(file, size: int) -> tuple[int, bool]:
    """Returns where the last page of an Ogg file ends by its size, and whether it has the mark of a last page.

    (0, True) if no page is found.
    """
    begin = max(0, size - _TAIL)
    file.seek(begin)
    tail = file.read()
    place = tail.rfind(b"OggS\0")
    page = tail[place:]
    if place < 0:
        return 0, True
    if len(page) < 27 or len(page) < 27 + page[26]:  # the list of sizes itself is cut off
        return size + 1, False
    segments = page[26]
    return begin + place + 27 + segments + sum(page[27 : 27 + segments]), bool(page[5] & 4)
