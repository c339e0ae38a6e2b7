"""The formats of a film: one entry a suffix."""

from typing import NamedTuple


class Format(NamedTuple):
    """What a file format can hold.

    Attributes:
        module, function: what writes it; imported when needed.
        most_side: pixels of the longest side of a frame.
        loops: whether the file says how often it plays.
    """

    module: str
    function: str
    most_side: int
    loops: bool = True


FORMATS = {
    ".gif": Format("gan.drawing.gif", "write_gif", 65_535),
    ".webp": Format("gan.drawing.webp", "write_webp", 16_383),
    ".png": Format("gan.drawing.apng", "write_apng", 65_535),
    ".mp4": Format("gan.drawing.mp4", "write_mp4", 8_192, loops=False),
}
