"""A folder of pictures → one array, cropped and shrunk once and kept in a cache."""

import hashlib
import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from gan.common.errors import UserError
from gan.common.files import atomic_file, cache_folder, write_text
from gan.common.leftovers import remove_leftovers
from gan.drawing.images import MOST_PIXELS

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
GREY, COLOUR = {"1", "L", "LA"}, {"P", "PA", "RGB", "RGBA"}  # Pillow's modes of 8 bits or fewer
DEFAULT_SIZE = 64
PART = 1024  # pictures decoded before they are written
LISTED = 5  # unusable pictures that a message names
VERSION = 1  # of what is done to pictures; another one makes caches anew


class Found(NamedTuple):
    """The pictures of a folder, sorted by name."""

    paths: list  # of `Path`
    labels: list  # a class number for each, empty without classes
    class_names: tuple


def holds_pictures(folder):
    """Whether there is a picture in a folder or in a folder of it."""
    return folder.is_dir() and any(
        next(_pictures_below(folder, pattern), None) for pattern in ("*", "*/*", "*/*/*")
    )


def read_pictures(folder, image_size=None, channels=None, skip_broken=False):
    """Read a folder of PNG, JPEG and WebP files.

    Pictures that lie in the folder itself have no labels; otherwise each of its
    folders is a class. Two folders `train` and `test` hold a data set each.

    The middle square of each picture is shrunk by averaging areas (or enlarged
    with cubics); what is transparent becomes white. The result is kept in the
    cache folder and used again until a file changes.

    Args:
        folder: the folder.
        image_size: side of the result in pixels; None: the pictures' own if all
            are square and alike, otherwise 64.
        channels: 1 or 3; None: 3 if any picture has colour.
        skip_broken: leave out what cannot be used instead of stopping.

    Returns:
        dict for a data set: images uint8 [N, H, W, C], a memory map of the cache
        where there could be one; and if there are any, labels int [N] and
        class_names, test_images and test_labels.

    Raises:
        UserError: naming the pictures that cannot be used, or a folder without any.
    """
    folder = Path(folder)
    parts = {part.name: part for part in folder.iterdir() if part.is_dir()}
    if set(parts) == {"train", "test"} and not any(_pictures_below(folder, "*")):
        found, tests = find_pictures(parts["train"]), find_pictures(parts["test"])
        if found.class_names != tests.class_names:
            raise UserError(f"{folder}: expected the same classes in train and test, got: "
                            f"{', '.join(found.class_names)} and {', '.join(tests.class_names)}")
    else:
        found, tests = find_pictures(folder), None
    if image_size is None or channels is None:
        own_size, own_channels = _looks(found.paths)
        image_size, channels = image_size or own_size, channels or own_channels
    images, labels = _cached(folder, found, image_size, channels, skip_broken)
    arrays = {"images": images, "labels": labels, "class_names": found.class_names}
    if tests:
        arrays["test_images"], arrays["test_labels"] = _cached(
            folder, tests, image_size, channels, skip_broken
        )
    return {name: value for name, value in arrays.items() if value is not None}


def find_pictures(folder):
    """Return the pictures `Found` in a folder, with its folders as classes.

    Raises:
        UserError: when there are none, or some inside and some outside of classes.
    """
    own = sorted(_pictures_below(folder, "*"))
    classes = {part: sorted(_pictures_below(part, "**/*")) for part in sorted(folder.iterdir())
               if part.is_dir() and not part.name.startswith(".")}
    classes = {part: paths for part, paths in classes.items() if paths}
    if own and classes:
        raise UserError(f"{folder}: expected pictures or folders of pictures, got both: "
                        f"{own[0].name} and {next(iter(classes)).name}/")
    paths = own or [path for paths in classes.values() for path in paths]
    if not paths:
        raise UserError(f"{folder}: expected pictures ({', '.join(FORMATS)}), got none")
    if len(classes) < 2:
        return Found(paths, [], ())
    labels = [number for number, paths in enumerate(classes.values()) for _ in paths]
    return Found(paths, labels, tuple(part.name for part in classes))


def _pictures_below(folder, pattern):
    return (path for path in folder.glob(pattern) if path.suffix.lower() in FORMATS
            and not path.name.startswith(".") and path.is_file())


def _looks(paths):
    """Return the size and the channels that pictures ask for, from their headers."""
    sizes, colour = set(), False
    for path in paths:
        try:
            with Image.open(path, formats=[FORMATS[path.suffix.lower()]]) as picture:
                sizes.add(picture.size)
                colour = colour or picture.mode not in GREY
        except Exception:  # noqa: S112 - it is named when it is decoded
            continue
    width, height = next(iter(sizes), (0, 0))
    alike = len(sizes) == 1 and width == height and width in range(16, 129, 4)
    return width if alike else DEFAULT_SIZE, 3 if colour else 1


def _cached(folder, found, size, channels, skip_broken):
    """Return images [N, H, W, C] and labels [N] or None, from the cache or made anew."""
    shape = (size, size, channels)
    path = cache_folder() / f"pictures_{_key(folder, found.paths, shape)}.bin"
    about = path.with_suffix(".json")
    known, images = _load(path, about, len(found.paths)), None
    if known is None:
        try:
            remove_leftovers(path.parent)
            with atomic_file(path) as file:
                known = _decode_all(found.paths, shape, file)
            write_text(about, json.dumps(known))
        except UserError as error:
            print(f"warning: {error}; the pictures will be read again next time", file=sys.stderr)
            memory = io.BytesIO()
            known = _decode_all(found.paths, shape, memory)
            images = np.frombuffer(memory.getbuffer(), np.uint8).reshape(-1, *shape)
    left_out = dict(known["left_out"])
    if left_out:
        _tell(folder, [(found.paths[index], left_out[index]) for index in left_out],
              len(found.paths), skip_broken)
    if images is None:
        # "c": what is written would stay in memory. TensorFlow shares no read-only maps.
        images = np.memmap(path, np.uint8, "c", shape=(len(found.paths) - len(left_out), *shape))
    labels = [label for index, label in enumerate(found.labels) if index not in left_out]
    return images, np.array(labels) if found.labels else None


def _key(folder, paths, shape):
    """A name for what these files, as they are now, become."""
    digest = hashlib.sha256(repr((VERSION, str(folder.resolve()), shape)).encode())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.relative_to(folder)}|{state.st_size}|{state.st_mtime_ns}\n".encode(
            errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _load(path, about, count):
    """Return what is known of a cached array, or None if it is not there or damaged."""
    try:
        known = json.loads(about.read_text())
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == known["sha256"] and known["count"] == count:
            return known
        raise ValueError("its checksum does not fit")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        print(f"warning: {path} is damaged ({error}); making it anew", file=sys.stderr)
        return None


def _decode_all(paths, shape, file):
    """Decode pictures and write their pixels one after the other.

    Args:
        paths: of the pictures.
        shape: (H, W, C) of the result.
        file: what the bytes are written to.

    Returns:
        dict: "count" of paths, "left_out", a list of (index, reason), and the
        "sha256" of what was written.
    """
    left_out, digest = [], hashlib.sha256()
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(
        total=len(paths), desc="reading pictures", unit="img", leave=False,
        disable=not sys.stderr.isatty(),
    ) as bar:
        # A part at a time, or all would be decoded before the first is written.
        for start in range(0, len(paths), PART):
            part = paths[start : start + PART]
            for index, result in enumerate(pool.map(lambda path: decode(path, shape), part), start):
                if isinstance(result, str):
                    left_out.append((index, result))
                else:
                    digest.update(result)
                    file.write(result)
            bar.update(len(part))
    return {"count": len(paths), "left_out": left_out, "sha256": digest.hexdigest()}


def decode(path, shape):
    """Decode one picture.

    Args:
        path: the file.
        shape: (H, W, C) wanted, H = W.

    Returns:
        uint8 [H, W, C], C-contiguous; or why it cannot be used, in words.
    """
    size, _, channels = shape
    try:
        with Image.open(path, formats=[FORMATS[path.suffix.lower()]]) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                return f"{width} x {height} pixels, expected at most {MOST_PIXELS:,} in all"
            if 2 * min(width, height) < size:
                return f"{width} x {height} pixels, expected sides of at least {-(-size // 2)}"
            if picture.mode not in GREY | COLOUR:
                return f"mode {picture.mode}, expected grey or RGB of 8 bits"
            picture = ImageOps.exif_transpose(picture)
            if "A" in picture.getbands() or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            picture = picture.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # every decoder has errors of its own
        return f"broken: {error}"
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    kind = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
    picture = picture.resize((size, size), kind, (left, top, left + side, top + side))
    return np.ascontiguousarray(picture).reshape(shape)


def _tell(folder, left_out, count, skip_broken):
    """Name the pictures that cannot be used: as an error, or as a warning."""
    names = "; ".join(f"{path.relative_to(folder)} ({reason})"
                      for path, reason in left_out[:LISTED])
    more = f"; and {len(left_out) - LISTED} more" if len(left_out) > LISTED else ""
    text = f"{len(left_out)} of {count} pictures cannot be used: {names}{more}"
    if not skip_broken:
        raise UserError(f"{folder}: {text}; expected whole pictures, or --skip-broken")
    print(f"warning: {' '.join(text.split())}", file=sys.stderr)
