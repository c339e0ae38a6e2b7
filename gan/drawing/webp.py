"""Animated WebP files written frame by frame, so that memory holds one of them.

Pillow encodes each frame as a WebP file of its own, and the parts are put
together here (RFC 9649). Pillow's writer of animations keeps all frames until
the end.
"""

import io
import struct

from PIL import Image

from gan.common.files import atomic_file

QUALITY = 85  # of 100; edges stay free of rings
ANIMATION = 2  # flag of the file


def write_webp(path, frames, durations, loop=0):
    """Write an animated WebP; an earlier file stays until all frames are there.

    Args:
        path: the file.
        frames: iterable of uint8 [H, W] or [H, W, 3] of one size.
        durations: seconds that each frame is shown, one number a frame; rounded
            to milliseconds.
        loop: how often it plays; 0: for ever.
    """
    with atomic_file(path) as file:
        begun = False
        for frame, seconds in zip(frames, durations, strict=True):
            if not begun:
                file.write(b"RIFF\0\0\0\0WEBP" + _header(frame, loop))
                begun = True
            file.write(_frame(frame, round(1000 * seconds)))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


def encode(image, **settings):
    """Return a uint8 [H, W] or [H, W, 3] image as the bytes of a WebP file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", **{"quality": QUALITY, **settings})
    return buffer.getvalue()


def _header(frame, loop):
    canvas = bytes([ANIMATION, 0, 0, 0]) + _side(frame.shape[1]) + _side(frame.shape[0])
    return _chunk(b"VP8X", canvas) + _chunk(b"ANIM", struct.pack("<IH", 0, loop))


def _frame(frame, milliseconds):
    """Return the chunk of one frame: its place, its duration, its encoded pixels."""
    encoded = encode(frame)
    if encoded[12:16] not in (b"VP8 ", b"VP8L"):
        raise AssertionError("Pillow's WebP is not a single image")
    place = bytes(6) + _side(frame.shape[1]) + _side(frame.shape[0])
    shown = min(milliseconds, 2**24 - 1).to_bytes(3, "little")
    return _chunk(b"ANMF", place + shown + b"\0" + encoded[12:])


def _side(pixels):
    return (pixels - 1).to_bytes(3, "little")


def _chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
