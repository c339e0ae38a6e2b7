"""One picture file → a square of uint8 pixels."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gan.common.errors import describe_os_error
from gan.drawing.images import MOST_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF")  # Pillow's names
FORMATS_IN_WORDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif",
            ".tiff"}
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16 bits
BITS_PER_SAMPLE = 258  # a tag of TIFF files
GREY = {"1", "L", "LA", "I", "F", *DEEP_GREY}
COLOUR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}


def is_picture(path):
    """Whether a file is meant to be a picture: by its suffix or its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        if not path.is_file():  # a FIFO would block
            return False
        with open(path, "rb") as file:
            start = file.read(16)
            size = path.stat().st_size
    except OSError:
        return False
    if start[:2] == b"BM":  # too short to mean much without the length that follows
        return int.from_bytes(start[2:6], "little") == size
    return start.startswith(SIGNATURES) or start[:4] + start[8:12] == b"RIFFWEBP"


def read_header(path):
    """Return a picture's (width, height), and whether it has colour; None if it is broken."""
    try:
        if not path.is_file():
            return None
        with Image.open(path, formats=FORMATS) as picture:
            return picture.size, picture.mode not in GREY
    except Exception:  # it is named when it is decoded
        return None


def decode(path, shape):
    """Decode one picture, the first if the file holds several.

    The middle square is shrunk by averaging areas, or enlarged with cubics; what
    is transparent becomes white; 16 bits become 8, as do floats in [0, 1].

    Args:
        path: the file.
        shape: (H, W, C) wanted, H = W.

    Returns:
        uint8 [H, W, C], C-contiguous; or why it cannot be used, in words.
    """
    size, _, channels = shape
    try:
        if not path.is_file():
            return "not a file" if path.exists() else "a link to nothing"
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                return f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all"
            if 2 * min(width, height) < size:
                return f"{width} x {height} pixels, expected sides of at least {-(-size // 2)}"
            if picture.mode not in GREY | COLOUR:
                return f"mode {picture.mode}, expected grey or RGB"
            white = _white(picture)
            picture = ImageOps.exif_transpose(picture)
            if white is not None:
                values = np.asarray(picture, np.float64) * (255 / white)
                if not (values.min() >= 0 and values.max() <= 255):
                    return f"values from {values.min() * white / 255:g} to " \
                           f"{values.max() * white / 255:g}, expected 0 to {white}"
                picture = Image.fromarray(np.rint(values).astype(np.uint8))
            if not {"A", "a"}.isdisjoint(picture.getbands()) or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            picture = picture.convert("L" if channels == 1 else "RGB")
    except UnidentifiedImageError:
        return f"broken: not {FORMATS_IN_WORDS}"
    except OSError as error:
        return f"broken: {describe_os_error(error)}"
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    kind = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
    picture = picture.resize((size, size), kind, (left, top, left + side, top + side))
    return np.ascontiguousarray(picture).reshape(shape)


def _white(picture):
    """The value that is white where a picture has more than 8 bits a value, else None."""
    if picture.mode == "F":
        return 1
    if picture.mode not in ("I", *DEEP_GREY):
        return None
    if picture.format == "TIFF":
        return 2 ** picture.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] - 1
    return 65_535
