"""Pictures: [-1, 1] floats and uint8, grids, PNG files."""

import io
import math
import os
import warnings
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan.common.errors import UserError
from gan.common.files import atomic_file

SHEET_PIXELS = 1000  # the width that small images are enlarged towards
SOFTWARE = "train_gan.py"  # what written pictures say they were made by
GAP = 2  # pixels between the images of a grid, before enlarging
MOST_PIXELS = 2**26  # of a picture that is read
# Pillow need not warn: sizes are looked at here before anything is unpacked.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
BACKGROUND = 128  # grey, so that black images keep their edges


def to_uint8(images):
    """Map float images in [-1, 1] to uint8 in [0, 255]; rounds, never wraps."""
    images = np.asarray(images, np.float32)
    return np.clip(np.rint(images * 127.5 + 127.5), 0, 255).astype(np.uint8)


def grid(images, columns=None):
    """Lay images out in a sheet, row by row.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3, N at least 1.
        columns: images a row; default: as near to a square sheet as possible.

    Returns:
        uint8 [rows * (H + gap) + gap, columns * (W + gap) + gap, C], not
        enlarged; places without an image have the background's grey.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels),
        BACKGROUND, np.uint8,
    )
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def enlarge(image, factor):
    """Repeat every pixel of a [H, W] or [H, W, C] image `factor` times each way."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def sheet(images, columns=None):
    """A `grid` enlarged by the whole number that brings it near 1,000 pixels."""
    small = grid(images, columns)
    return enlarge(small, max(1, SHEET_PIXELS // max(small.shape[:2])))


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
            pixels = picture.width * picture.height
        if pixels > MOST_PIXELS:
            raise UserError(f"{path}: expected at most {MOST_PIXELS:,} pixels, got: {pixels:,}")
        image = np.asarray(imageio.imread(path))
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Exception as error:  # every decoder has errors of its own
        raise UserError(f"{path}: expected a PNG picture, got a broken file ({error})") from error
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise UserError(
            f"{path}: expected an 8-bit picture, got: {image.dtype} of shape {image.shape}"
        )
    if image.ndim == 3:
        image = image[..., 0] if image.shape[-1] < 3 else image[..., :3]
    return image


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
