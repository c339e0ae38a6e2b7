"""Animations: GIF, WebP and PNG by Pillow, MP4 by imageio's ffmpeg plugin."""

import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from gan.common.device import memory_bytes
from gan.common.errors import UserError
from gan.common.files import atomic_file

HELD = 3  # times the size of all frames, what Pillow needs at most
QUALITY = 85  # of WebP, of 100; edges stay free of rings
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".mp4": None}  # suffix → Pillow's name


def check_format(path, loop=0):
    """Raise a `UserError` for an `--output` of no known format, or one that cannot be written.

    Args:
        path: the file to write.
        loop: how often it is to play; 0: forever.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"--output: expected a name that ends in {', '.join(FORMATS)}, "
                        f"got: {path}")
    if suffix == ".mp4":
        if loop:
            raise UserError("--loop: expected 0, as .mp4 files do not say how often they play, "
                            f"got: {loop}")
        try:
            import imageio_ffmpeg

            imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError) as error:  # it may lack the program itself
            raise UserError(f"--output: .mp4 needs imageio's ffmpeg plugin ({error}); expected: "
                            "pip install -r requirements-film.txt") from error


def write_animation(path, frames, durations, loop=0):
    """Write an animation; an earlier file stays until the new one is whole.

    Equal frames in a row become one that stays longer. GIF shows 256 colors a frame.

    Args:
        path: the file; its suffix is one of `FORMATS`.
        frames: iterable of uint8 [H, W] or [H, W, 3] of one size; Pillow holds all of them.
        durations: list of seconds, one number a frame.
        loop: how often it plays; 0: forever. MP4 files do not say.

    Raises:
        UserError: for more frames than fit into half the memory, or when it cannot be written.
    """
    path = Path(path)
    name = FORMATS[path.suffix.lower()]
    if name is None:
        _write_mp4(path, frames, durations)
        return
    settings = {"loop": loop}
    if name == "GIF":  # the number in the file counts what follows the first time
        settings["loop"] = {0: 0, 1: None}.get(loop, loop - 1)
    if name == "WEBP":
        settings["quality"] = QUALITY
    unit = 10 if name == "GIF" else 1  # milliseconds that durations are multiples of
    milliseconds = [unit * round(1000 * seconds / unit) for seconds in durations]
    pictures = _pictures(frames, len(durations))
    with atomic_file(path) as file:
        first = next(pictures)
        others = pictures if name == "GIF" else list(pictures)  # which are gone over twice
        try:
            first.save(file, name, save_all=True, append_images=others, duration=milliseconds,
                       **settings)
        except (struct.error, OverflowError, RuntimeError, ValueError) as error:
            raise UserError(f"{path}: expected frames of a size and duration that a {path.suffix} "
                            f"file can hold, got others ({error})") from error


def _pictures(frames, count):
    for index, frame in enumerate(frames):
        needed = HELD * count * frame.nbytes
        if index == 0 and needed > memory_bytes() / 2:
            raise UserError(f"expected an animation that fits into half the memory, got {count:,} "
                            f"frames that need {needed / 2**30:.1f} GiB; take fewer or smaller "
                            "ones, or write .mp4")
        yield Image.fromarray(frame)


def _write_mp4(path, frames, durations):
    """Write H.264; a frame is repeated to stay longer, as players expect equal durations."""
    import imageio.v2 as imageio

    shortest = min(durations)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "animation.mp4"
        try:
            with imageio.get_writer(temporary, format="FFMPEG", fps=1 / shortest, codec="libx264",
                                    quality=6, macro_block_size=1, pixelformat="yuv420p",
                                    ffmpeg_log_level="error") as writer:
                for frame, seconds in zip(frames, durations, strict=True):
                    for _ in range(round(seconds / shortest)):
                        writer.append_data(_even(frame))
        except OSError as error:
            raise UserError(f"cannot write {path}: ffmpeg failed "
                            f"({str(error).strip().splitlines()[-1]})") from error
        with open(temporary, "rb") as source, atomic_file(path) as target:
            shutil.copyfileobj(source, target)


def _even(frame):
    """Return a frame as uint8 [H, W, 3] with even sides, which the format needs."""
    rgb = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)
    return np.pad(rgb, [(0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)], mode="edge")
