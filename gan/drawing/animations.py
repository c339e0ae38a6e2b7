"""Animations: GIF, WebP and PNG by Pillow, MP4 by imageio's ffmpeg plugin."""

import functools
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan.common.device import memory_bytes
from gan.common.errors import UserError
from gan.common.files import atomic_file

HELD = 3  # times the size of all frames, what Pillow needs at most
QUALITY = 85  # of WebP, of 100; edges stay free of rings
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".mp4": None}  # suffix → Pillow's name
MAX_PIXELS = 2**26  # of a frame
LINE, FONT, SMALLEST_FONT, MARGIN = 28, 16, 8, 6  # pixels, of a line of text
GAP = 8  # pixels between frames side by side


def check_format(path, loop=0):
    """Raise a `UserError` for an `--output` of no known format, or one that cannot be written."""
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


# --- Frames: uint8 [H, W] or [H, W, 3 or 4]


def resized(frame, scale):
    """Return a frame enlarged or shrunk; a whole factor repeats its pixels."""
    if scale == 1:
        return frame
    picture = Image.fromarray(frame)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    if width * height > MAX_PIXELS:
        raise UserError(f"--scale: expected frames of at most {MAX_PIXELS:,} pixels, "
                        f"got: {width} x {height}")
    method = Image.Resampling.NEAREST if scale == int(scale) else Image.Resampling.BOX
    return np.asarray(picture.resize((width, height), method))


def with_text(frame, title="", caption=""):
    """Return a frame with a line above and one below it, white on black; none for no text."""
    top, bottom = (LINE * bool(text) for text in (title, caption))
    picture = Image.fromarray(frame)
    canvas = Image.new(picture.mode, (picture.width, top + picture.height + bottom), "black")
    canvas.paste(picture, (0, top))
    for text, place in ((title, 0), (caption, top + picture.height)):
        fitting = FONT * (picture.width - 2 * MARGIN) / max(_font(FONT).getlength(text), 1)
        ImageDraw.Draw(canvas).text((MARGIN, place + LINE // 2), text, "white", anchor="lm",
                                    font=_font(min(max(fitting, SMALLEST_FONT), FONT)))
    return np.asarray(canvas)


@functools.cache
def _font(size):
    import matplotlib  # which brings one that has more than Latin letters

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def side_by_side(frames):
    """Return frames in a row on black; gray ones become RGB or RGBA where others are."""
    pictures = [Image.fromarray(frame) for frame in frames]
    mode = max((picture.mode for picture in pictures), key=len)
    width = sum(picture.width + GAP for picture in pictures) - GAP
    canvas, left = Image.new(mode, (width, max(map(len, frames))), "black"), 0
    for picture in pictures:
        canvas.paste(picture.convert(mode), (left, 0))
        left += picture.width + GAP
    return np.asarray(canvas)


# --- Files


def write_animation(path, frames, durations, loop=0):
    """Write an animation of an iterable of frames of one size, which stay so many seconds.

    It plays `loop` times, 0: forever. Equal frames in a row become one that stays longer; GIF
    shows 256 colors a frame. `UserError` for more frames than fit into half the memory.
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
    pictures = map(Image.fromarray, frames)
    with atomic_file(path) as file:
        first = next(pictures)
        needed = HELD * len(durations) * len(first.getbands()) * first.width * first.height
        if needed > memory_bytes() / 2:
            raise UserError(f"expected an animation that fits into half the memory, got "
                            f"{len(durations):,} frames that need {needed / 2**30:.1f} GiB; take "
                            "fewer or smaller ones, or write .mp4")
        if name == "GIF" and first.mode == "RGBA":
            settings["disposal"] = 2  # what becomes transparent shows no earlier frame
        others = pictures if name == "GIF" else list(pictures)  # which are gone over twice
        try:
            first.save(file, name, save_all=True, append_images=others, duration=milliseconds,
                       **settings)
        except (struct.error, OverflowError, RuntimeError, ValueError) as error:
            raise UserError(f"{path}: expected frames of a size and duration that a {path.suffix} "
                            f"file can hold, got others ({error})") from error


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
    """Return a frame as uint8 [H, W, 3] with even sides, which the format needs; on white."""
    picture = Image.fromarray(frame).convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    rgb = np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))
    return np.pad(rgb, [(0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)], mode="edge")
