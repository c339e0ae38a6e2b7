"""Animated PNG files written frame by frame, so that memory holds one of them.

Pillow encodes each frame as a PNG file of its own, and the parts are put
together here (PNG specification, third edition, W3C 2025). Pillow's writer of
animations keeps all frames until the end.
"""

import struct
import zlib

from gan.common.files import atomic_file
from gan.drawing.images import png_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_apng(path, frames, durations, loop=0):
    """Write an animated PNG; an earlier file stays until all frames are there.

    Args:
        path: the file.
        frames: iterable of uint8 [H, W] or [H, W, 3] of one size, all grey or
            all coloured.
        durations: list of the seconds that each frame is shown, one number a
            frame; rounded to milliseconds.
        loop: how often it plays; 0: for ever.
    """
    with atomic_file(path) as file:
        file.write(SIGNATURE)
        sequence = 0
        for index, (frame, seconds) in enumerate(zip(frames, durations, strict=True)):
            chunks = list(_chunks(png_bytes(frame)))
            if index == 0:
                for name, data in chunks:
                    if name in (b"IHDR", b"tEXt"):
                        file.write(_chunk(name, data))
                file.write(_chunk(b"acTL", struct.pack(">II", len(durations), loop)))
            file.write(_control(sequence, frame, round(1000 * seconds)))
            sequence += 1
            for data in (data for name, data in chunks if name == b"IDAT"):
                if index == 0:  # what a reader without animations shows
                    file.write(_chunk(b"IDAT", data))
                else:
                    file.write(_chunk(b"fdAT", struct.pack(">I", sequence) + data))
                    sequence += 1
        file.write(_chunk(b"IEND", b""))


def _control(sequence, frame, milliseconds):
    """Return the chunk that says how long and where a frame is shown."""
    height, width = frame.shape[:2]
    longest = 2**16 - 1
    delay = (milliseconds, 1000) if milliseconds <= longest else (
        min(milliseconds // 1000, longest), 1)
    return _chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, *delay, 0, 0))


def _chunks(encoded):
    """Yield (name, data) of the parts of a PNG file."""
    start = len(SIGNATURE)
    while start < len(encoded):
        size, name = struct.unpack(">I4s", encoded[start : start + 8])
        yield name, encoded[start + 8 : start + 8 + size]
        start += size + 12


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
