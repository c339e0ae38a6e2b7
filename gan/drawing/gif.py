"""GIF files written frame by frame, so that memory holds one of them.

Pillow encodes each frame as a GIF of its own, and the parts are put together
here (GIF89a specification, CompuServe 1990). Pillow's and imageio's writers of
animations either keep all frames until the end or, as of imageio 2.38, write
broken files for pictures of few shades.
"""

import io
import struct

from PIL import Image

from gan.common.files import atomic_file
from gan.drawing.images import SOFTWARE

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, b"\x3b"


def write_gif(path, frames, durations, loop=0):
    """Write a GIF; an earlier file stays until all frames are there.

    Args:
        path: the file.
        frames: iterable of uint8 [H, W] or [H, W, 3] of one size.
        durations: seconds that each frame is shown, one number a frame;
            rounded to hundredths, the format's unit.
        loop: how often it plays; 0: for ever.
    """
    with atomic_file(path) as file:
        size = None
        for frame, seconds in zip(frames, durations, strict=True):
            if size is None:
                size = frame.shape[1], frame.shape[0]
                file.write(_header(size, loop))
            file.write(_frame(frame, round(100 * seconds)))
        file.write(TRAILER)


def _header(size, loop):
    header = b"GIF89a" + struct.pack("<HHBBB", *size, 0, 0, 0)  # no palette for all frames
    comment = SOFTWARE.encode()
    header += bytes([EXTENSION, 0xFE, len(comment)]) + comment + b"\0"
    if loop == 1:
        return header
    # The number in the file counts repetitions; 0 is for ever in both.
    repetitions = struct.pack("<BBHB", 3, 1, max(0, loop - 1), 0)
    return header + bytes([EXTENSION, 0xFF, 11]) + b"NETSCAPE2.0" + repetitions


def _frame(frame, hundredths):
    """Return the blocks of one frame: its duration, its palette, its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "GIF", interlace=0)
    encoded = buffer.getvalue()
    flags = encoded[10]
    palette = encoded[13 : 13 + 3 * 2 ** ((flags & 7) + 1)]
    start = 13 + len(palette)
    while encoded[start] == EXTENSION:
        start = _skip_blocks(encoded, start + 2)
    if encoded[start] != IMAGE or not flags & 0x80:
        raise AssertionError("Pillow's GIF is not a palette followed by an image")
    descriptor = encoded[start : start + 9] + bytes([0x80 | flags & 7])
    control = struct.pack("<BBBBHBB", EXTENSION, 0xF9, 4, 1 << 2, min(hundredths, 65535), 0, 0)
    return control + descriptor + palette + encoded[start + 10 : -1]


def _skip_blocks(encoded, start):
    """Return the position after a chain of data blocks."""
    while encoded[start]:
        start += encoded[start] + 1
    return start + 1
