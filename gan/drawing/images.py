"""Images as arrays and PNG files, and grids of them."""

import glob
import io
import math
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan.common.errors import UserError, reading
from gan.common.files import atomic_file, require_file

GRID_PIXELS = 1000  # the width that grids of small images are enlarged towards
SOFTWARE = "train_gan.py"  # what written pictures say they were made by
GAP = 2  # pixels between the images of a grid, before enlarging
MOST_PIXELS = 2**26  # of a picture that is read
BACKGROUND = 208  # so that neither black nor gray nor white images lose their edges
# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def enlarge(image, factor):
    """Repeat every pixel of a [H, W] or [H, W, C] image `factor` times each way."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def tile(images, columns=None):
    """Lay images, uint8 [N, H, W, C], out row by row, as near to a square as possible by default.

    Returns uint8 [rows * (H + 2) + 2, columns * (W + 2) + 2, C], gray between the images.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    grid = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels),
                   _gap(channels), np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        grid[top : top + height, left : left + width] = image
    return grid


def _gap(channels):
    return [BACKGROUND] * 3 + [255] if channels == 4 else BACKGROUND  # not transparent


def image_grid(images, columns=None):
    """Tile images, enlarged by the whole number that brings the grid near 1,000 pixels."""
    grid = tile(images, columns)
    return enlarge(grid, max(1, GRID_PIXELS // max(grid.shape[:2])))


def neighbor_grid(halves):
    """Draw images and to the right of each, after a gap, its nearest neighbors, as `image_grid`.

    Halves, drawn side by side, are (images, uint8 [R, H, W, C], their neighbors [R, K, H, W, C]).
    """
    blank = np.full_like(halves[0][0][:, None], _gap(halves[0][0].shape[-1]))
    columns = []
    for images, neighbors in halves:
        columns += [images[:, None], blank, neighbors, blank]
    rows = np.concatenate(columns[:-1], axis=1)
    return image_grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1])


def write_png(path, image):
    """Write a uint8 [H, W, C] or [H, W] image as PNG, whole or not at all."""
    with atomic_file(path) as file:
        file.write(png_bytes(image))


def png_bytes(image):
    """Encode a uint8 [H, W, C] or [H, W] image as PNG."""
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    mark, buffer = PngInfo(), io.BytesIO()
    mark.add_text("Software", SOFTWARE)
    Image.fromarray(image).save(buffer, "PNG", pnginfo=mark)
    return buffer.getvalue()


def read_png(path):
    """Read a picture as uint8 [H, W] or [H, W, 3 or 4]; `UserError` if it is none."""
    require_file(path)
    with reading(path, "a PNG picture"), Image.open(path) as picture:
        pixels, mode = picture.width * picture.height, picture.mode
        if pixels > MOST_PIXELS or mode[0] in "IF":  # more than 8 bits
            raise UserError(f"{path}: expected an 8-bit picture of at most {MOST_PIXELS:,} "
                            f"pixels, got {pixels:,} pixels of mode {mode}")
        clear = picture.has_transparency_data
        kind = "RGBA" if clear else "L" if mode in ("1", "L") else "RGB"
        return np.asarray(picture.convert(kind))


def epoch_picture(folder, epoch, step=None):
    """Return FOLDER/epoch_0012.png, or for a step within the next epoch epoch_0012_step_….png."""
    within = "" if step is None else f"_step_{step:09d}"
    return Path(folder) / f"epoch_{epoch:04d}{within}.png"


def pictures_in(where):
    """Return (epoch, step, path) of the epoch_*.png in a folder, or of a pattern's files, in order.

    The step of a picture at the end of an epoch is 0.
    """
    found, pattern = {}, str(where)
    if os.path.isdir(where):
        pattern = os.path.join(glob.escape(pattern), "epoch_*.png")
    for path in sorted(glob.glob(pattern)):
        if match := re.search(r"(\d+)(?:_step_(\d+))?\.png$", path):
            found[int(match[1]), int(match[2] or 0)] = Path(path)
    return [(*moment, path) for moment, path in sorted(found.items())]
