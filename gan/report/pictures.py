"""Pictures of runs as data URIs, few and small enough for one page."""

import base64
import functools
import io
import os

import numpy as np
from PIL import Image, features

from gan.common.errors import UserError
from gan.drawing.images import read_png

MOST_FRAMES, LEAST_FRAMES = 32, 4  # of a page with one run, and of a run among many
MOST_BYTES = 45_000  # of a frame, before base64 makes it a third longer
# Quality and longest side, the first that is small enough; the last whatever comes out.
TRIES = ((80, 640), (60, 640), (50, 480), (40, 320))


def pictures_of(runs):
    """Return for each `RunContent` a dict of "frames" and "real", for the page's script."""
    most = max(LEAST_FRAMES, MOST_FRAMES // len(runs))
    found = []
    for run in runs:
        frames = [{"label": f"step {step:,}" if step else f"epoch {epoch:,}",
                   "at": epoch + (step and 1 - 1 / (1 + step)),  # between two epochs
                   "src": data_uri(path)}
                  for epoch, step, path in choose(run.pictures, most)]
        found.append({"frames": [frame for frame in frames if frame["src"]],
                      "real": run.real and data_uri(run.real)})
    return found


def choose(pictures, most=MOST_FRAMES):
    """Return at most so many of the pictures, evenly spaced, the first and the last among them.

    What a longer list leaves out stays out, so that each picture is encoded only once.
    """
    spacing = 1
    while -(-len(pictures) // spacing) + 1 > most and len(pictures) > most:
        spacing *= 2
    chosen = pictures[::spacing]
    if pictures and (len(pictures) - 1) % spacing:
        chosen.append(pictures[-1])
    return chosen


def data_uri(path):
    """Return a PNG file as a data URI, or None where it cannot be read."""
    try:
        state = os.stat(path)
        return _encoded(str(path), state.st_mtime_ns, state.st_size)
    except (OSError, UserError):
        return None


@functools.lru_cache(maxsize=4 * MOST_FRAMES)
def _encoded(path, _time, _size):
    picture = Image.fromarray(reduce(read_png(path)))
    kind = "webp" if features.check("webp") else "png"
    for quality, side in TRIES:
        small, buffer = picture.copy(), io.BytesIO()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        small.save(buffer, kind, quality=quality)
        if buffer.tell() <= MOST_BYTES:
            break
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def reduce(image):
    """Undo `images.enlarge`: return the smallest picture that can be enlarged to this one."""
    for factor in range(30, 1, -1):
        if image.shape[0] % factor or image.shape[1] % factor:
            continue
        small = image[::factor, ::factor]
        if np.array_equal(small.repeat(factor, axis=0).repeat(factor, axis=1), image):
            return small
    return image
