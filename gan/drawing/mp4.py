"""MP4 films, where imageio's ffmpeg plugin is installed."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np

from gan.common.errors import UserError
from gan.common.files import atomic_file

NEEDED = "imageio's ffmpeg plugin; expected: pip install -r requirements-film.txt"


def find_ffmpeg():
    """Refuse where there is no ffmpeg.

    Raises:
        UserError: saying how to install it.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(f"--output: .mp4 needs {NEEDED}")
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # installed without the program itself
        raise UserError(f"--output: .mp4 needs {NEEDED} ({error})") from error


def write_mp4(path, frames, durations, loop=0):
    """Write an H.264 film that every player shows; an earlier file stays until it is whole.

    Args:
        path: the file.
        frames: iterable of uint8 [H, W] or [H, W, 3] of one size; as the
            format needs even sides, the last row or column of odd ones is repeated.
        durations: list of the seconds that each frame is shown; all must be
            whole multiples of the shortest but for rounding.
        loop: ignored, as the format has no such number.

    Raises:
        UserError: when ffmpeg is missing or fails.
    """
    find_ffmpeg()
    import imageio.v2 as imageio

    shortest = min(durations)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        try:
            with imageio.get_writer(film, format="FFMPEG", fps=1 / shortest, codec="libx264",
                                    quality=6, macro_block_size=1, pixelformat="yuv420p",
                                    ffmpeg_log_level="error") as writer:
                for frame, seconds in zip(frames, durations, strict=True):
                    for _ in range(round(seconds / shortest)):
                        writer.append_data(_even(frame))
        except OSError as error:
            raise UserError(f"cannot write {path}: ffmpeg failed "
                            f"({str(error).strip().splitlines()[-1]})") from error
        with open(film, "rb") as source, atomic_file(path) as target:
            shutil.copyfileobj(source, target)


def _even(frame):
    """Return a frame as uint8 [H, W, 3] with even sides."""
    rgb = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)
    return np.pad(rgb, [(0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)], mode="edge")
