"""Reader of a folder or zip archive of pictures, with a cache of decoded pixels."""

import hashlib
import io
import itertools
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gan.common.command_line import sides_of
from gan.common.errors import UserError, counted, listed, note, one_line, warn
from gan.common.files import atomic_file, cache_folder, open_cached
from gan.data.arrays import check_memory
from gan.data.decoding import SUFFIXES, PictureFormat, complete, decode, read_header, threads
from gan.data.labels import is_table
from gan.data.layout import RECORDS, File, arrange, files_below
from gan.data.pixels import digest_images
from gan.data.records import read_records

VERSION = 9  # of what is done to pictures; another one makes caches anew
LENGTH_BYTES = 8  # of the length of the JSON, at the end of a cache
PART_BYTES = 2**26  # of pixels decoded before they are written


class Pictures(NamedTuple):
    """Decoded pictures, and what was found in their files."""

    images: np.ndarray  # uint8 [N, H, W, C]
    digest: object  # see `digest_images`
    form: PictureFormat  # completed
    counts: list  # how many images each file gave
    left_out: list  # of (place of a file, why it cannot be used, in words)
    pages: int  # that were passed over
    transparent: int  # files with transparent parts


def read_pictures(folder, image_size=None, channels=None, skip_broken=False, fit="crop",
                  frames="first", range="bits", resample="auto"):
    """Read a folder or zip archive of PNG, JPEG, WebP, GIF, BMP and TIFF files, known by content.

    They may be in Parquet or TFRecord files as well, see `read_records`.
    Returns a dict for `from_arrays`: images uint8 [N, H, W, C], mapped from the cache, their
    images_digest and facts for summary.json; if there are any, labels, str or int [N],
    test_images and test_labels.
    """
    folder, records, pictures, others = Path(folder), [], [], []
    for file in files_below(folder):
        name = os.path.basename(file.name)
        if not file.inside and RECORDS.fullmatch(name):
            records.append(file)
        elif os.path.splitext(name)[1].lower() in SUFFIXES or read_header(file):
            pictures.append(file)
        else:
            others.append(file)
    if records and pictures:
        raise UserError(one_line(
            f"{folder}: expected pictures or files that hold some, got both: {pictures[0].name} "
            f"and {records[0].name}; move one of them away, or name it with --dataset"))
    if not records and not pictures:
        raise UserError(
            f"{folder}: expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX files "
            "(train-images-idx3-ubyte, plain or .gz), got none of them")
    train, test = read_records(folder, records) if records else arrange(folder, pictures, others)
    others = [file for file in others if not is_table(file)]  # of which more is said
    if others:
        print(one_line(f"left out: {counted(len(others), 'file')} besides pictures: "
                       f"{listed([file.name for file in others])}"))
    size = image_size and sides_of(image_size)
    form = PictureFormat(size, channels, fit, frames, range=range,
                         resample=None if resample == "auto" else resample)
    found, labels = _read_part(folder, train, form, skip_broken, "train")
    facts = _facts(folder, found, form)
    if len(found.images) < 2:
        more = "; --frames all takes all pages of its file" if found.pages else (
            "; --dataset names another folder")
        raise UserError(f"{folder}: expected at least 2 pictures, better some hundreds, "
                        f"got {len(found.images)}{more}")
    arrays = {"images": found.images, "labels": labels, "images_digest": found.digest,
              "facts": facts}
    if test:
        found, arrays["test_labels"] = _read_part(folder, test, found.form, skip_broken, "test")
        arrays["test_images"] = found.images
    return {name: value for name, value in arrays.items() if value is not None}


def read_picture(path, shape):
    """Return one picture as uint8 [H, W, C]; `UserError` if it cannot be used."""
    file = File(path, path, (), ())
    found = decode(file, complete(PictureFormat((shape[1], shape[0]), shape[2]), [file]))
    if isinstance(found, str):  # why not
        raise UserError(f"{path}: {found}")
    return found.images[0]


def _facts(folder, found, form):
    """Say what else was in the files; returns it as a dict for JSON."""
    facts, files = {}, len(found.counts)
    if found.pages:
        facts["pages_passed_over"] = found.pages
        note(f"{folder}: {counted(found.pages, 'page')} or frames beyond the first of their files "
             "are not used; --frames all takes every one")
    if found.transparent and found.images.shape[-1] != 4:
        facts |= {"transparent": found.transparent, "ground": found.form.ground}
        note(f"{folder}: {found.transparent:,} of {counted(files, 'picture')} have transparent "
             f"parts, which are laid on {found.form.ground}; --channels 4 keeps them")
    if found.form.white and form.range == "bits":
        facts["white"] = found.form.white
        note(f"{folder}: gray values have more than 8 bits; 0 becomes black and "
             f"{found.form.white:,} white; --range LOW,HIGH changes this")
    if form.resample is None and found.form.resample == "nearest":
        facts["resample"] = "nearest"
        note(f"{folder}: small pictures of few colors, resized by nearest neighbor as pixel art; "
             "--resample smooth averages them")
    if form.frames == "all" and len(found.images) > files:
        facts["files"] = files
    return facts


def _read_part(folder, files, form, skip_broken, name):
    found = cached_pictures(folder, files, form, name)
    count, left_out = len(files), found.left_out
    if left_out:
        reasons = listed([f"{files[place].name} ({why})" for place, why in left_out], "; ")
        text = one_line(f"{len(left_out)} of {counted(count, 'picture')} cannot be used: {reasons}")
        if len(left_out) == count:
            raise UserError(f"{folder}: {text}; expected some that can be used, or for small ones "
                            "a smaller --image-size")
        if not skip_broken:
            raise UserError(f"{folder}: {text}; expected whole pictures, --skip-broken, or for "
                            "small ones a smaller --image-size")
        warn(text)
    if files[0].label is None:
        return found, None
    known = [file.label for file in files]
    labels = np.repeat(known, found.counts)
    if lost := sorted({*known} - {*labels.tolist()}):
        warn(f"{folder}: no picture of {listed(lost)} can be used, so the class is left out")
    return found, labels


# The cache. A file for each folder and format: pixels, what they are as JSON, its length.


def cached_pictures(folder, files, form, part):
    """Return the `Pictures` in a list of `File`, from the cache where it has them."""
    about = json.dumps([VERSION, str(folder.resolve()), part, *form])
    # Of pictures that have changed, the file is written anew.
    state = [about, *(file.identity for file in files)]
    state = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    key = hashlib.sha256(about.encode()).hexdigest()[:16]
    path = cache_folder() / f"pictures_{key}.bin"
    if found := _load(path, state):
        return found
    form = complete(form, files)
    try:
        with atomic_file(path) as output:
            facts = _decode_all(files, form, output)
            output.flush()
            digest = digest_images(_map(output, form, facts))
            known = json.dumps({"state": state, "form": form, "facts": facts,
                                "sha256": digest.hexdigest()}).encode()
            output.seek(0, os.SEEK_END)
            output.write(known + len(known).to_bytes(LENGTH_BYTES, "little"))
        return Pictures(_map(path, form, facts), digest, form, **facts)
    except UserError as error:
        warn(f"{error}; the pictures will be read again next time")
    check_memory(len(files) * math.prod(form.shape), folder)
    output = io.BytesIO()
    facts = _decode_all(files, form, output)
    images = np.frombuffer(output.getbuffer(), np.uint8).reshape(-1, *form.shape)
    return Pictures(images, digest_images(images), form, **facts)


def _load(path, state):
    try:
        with open_cached(path) as file:
            end = file.seek(-LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read(), "little")
            file.seek(end - length)
            known = json.loads(file.read(length))
            if known["state"] != state:
                return None
            form, facts = PictureFormat(*known["form"]), known["facts"]
            images = _map(file, form, facts)
        digest = digest_images(images)
        if digest.hexdigest() != known["sha256"]:
            raise ValueError("its checksum does not fit")
        return Pictures(images, digest, form, **facts)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # whatever damage can cause
        reason = getattr(error, "strerror", None) or error
        warn(f"{path} is damaged ({reason}); making it anew")
        return None


def _map(file, form, facts):
    shape = sum(facts["counts"]), *form.shape
    if not shape[0]:
        return np.empty(shape, np.uint8)  # nothing cannot be mapped
    # "c": what is written would stay in memory. TensorFlow shares no read-only maps.
    return np.memmap(file, np.uint8, "c", shape=shape)


def _decode_all(files, form, output):
    """Write the pixels of all files; returns the other attributes of `Pictures`."""
    facts = {"counts": [], "left_out": [], "pages": 0, "transparent": 0}
    size = max(1, PART_BYTES // math.prod(form.shape))
    with threads() as pool:
        # A part at a time, or all would be decoded before the first is written.
        decoded = itertools.chain.from_iterable(
            pool.map(lambda file: decode(file, form), files[start : start + size])
            for start in range(0, len(files), size))
        for place, found in enumerate(tqdm(decoded, desc="reading pictures", total=len(files),
                                           unit="img", leave=False, disable=None)):
            if isinstance(found, str):
                facts["left_out"].append((place, found))
                facts["counts"].append(0)
                continue
            for image in found.images:
                output.write(image)
            facts["counts"].append(len(found.images))
            facts["pages"] += found.pages
            facts["transparent"] += found.transparent
    return facts
