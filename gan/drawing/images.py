"""Images as arrays and PNG files, and grids of them."""

import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan.common.errors import UserError
from gan.common.files import atomic_file

GRID_PIXELS = 1000  # the width that grids of small images are enlarged towards
SOFTWARE = "train_gan.py"  # what written pictures say they were made by
GAP = 2  # pixels between the images of a grid, before enlarging
MOST_PIXELS = 2**26  # of a picture that is read
BACKGROUND = 128  # grey, so that black images keep their edges
# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def to_uint8(images):
    """Map float images in [-1, 1] to uint8 in [0, 255]; rounds, never wraps."""
    images = np.asarray(images, np.float32)
    return np.clip(np.rint(images * 127.5 + 127.5), 0, 255).astype(np.uint8)


def enlarge(image, factor):
    """Repeat every pixel of a [H, W] or [H, W, C] image `factor` times each way."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def tile(images, columns=None, rows=0):
    """Lay images out row by row.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3, N at least 1.
        columns: images a row; default: as near to a square as possible.
        rows: at least so many.

    Returns:
        uint8 [rows * (H + gap) + gap, columns * (W + gap) + gap, C]; places
        without an image have the background's grey.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = max(rows, -(-count // columns))
    grid = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels),
                   BACKGROUND, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        grid[top : top + height, left : left + width] = image
    return grid


def image_grid(images, columns=None):
    """Tile images, enlarged by the whole number that brings the grid near 1,000 pixels."""
    return _enlarge_grid(tile(images, columns))


def neighbor_grid(halves):
    """Draw images in a column, and to the right of each, after a gap, its nearest neighbors.

    Args:
        halves: list of (uint8 [R, H, W, C], uint8 [R, K, H, W, C]): images and the
            neighbors of each. They are drawn side by side, after a wider gap.

    Returns:
        uint8 [height, width, C], enlarged as `image_grid` does.
    """
    rows = max(len(images) for images, _ in halves)
    parts = []
    for images, neighbors in halves:
        column = tile(images, 1, rows)
        beside = tile(neighbors.reshape(-1, *neighbors.shape[2:]), neighbors.shape[1], rows)
        size = images.shape[2]
        for part, gap in ((column, size // 4), (beside, size)):
            parts += [part, np.full((len(part), gap, part.shape[-1]), BACKGROUND, np.uint8)]
    return _enlarge_grid(np.concatenate(parts[:-1], axis=1))


def _enlarge_grid(grid):
    return enlarge(grid, max(1, GRID_PIXELS // max(grid.shape[:2])))


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
    """Read a picture as uint8 [H, W] or [H, W, 3].

    Raises:
        UserError: when the file is missing, broken, or not a picture.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # reading a FIFO never ends
        raise UserError(f"{path}: expected a PNG picture, got no file")
    try:
        with Image.open(path) as picture:
            pixels, mode = picture.width * picture.height, picture.mode
            if pixels <= MOST_PIXELS and mode[0] not in "IF":  # more than 8 bits
                gray = mode in ("1", "L", "LA")
                return np.asarray(picture.convert("L" if gray else "RGB"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Exception as error:  # every decoder has errors of its own
        raise UserError(f"{path}: expected a PNG picture, got a broken file ({error})") from error
    raise UserError(f"{path}: expected an 8-bit picture of at most {MOST_PIXELS:,} pixels, "
                    f"got {pixels:,} pixels of mode {mode}")


def epoch_picture(folder, epoch, step=None):
    """The path of a picture, such that names sort as the run went on.

    Args:
        folder: of the pictures.
        epoch: the number of the last epoch that was done.
        step: of the run, for a picture within the next epoch; None: after the epoch.

    Returns:
        FOLDER/epoch_0012.png, or FOLDER/epoch_0012_step_000011500.png.
    """
    within = "" if step is None else f"_step_{step:09d}"
    return Path(folder) / f"epoch_{epoch:04d}{within}.png"
