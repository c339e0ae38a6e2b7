#!/usr/bin/env python3
"""Turn the pictures of a run into a film: a GIF, an animated WebP or PNG, an MP4.

    python make_gif.py                                 # generated_images/ → training.gif
    python make_gif.py --images RUN                    # a run elsewhere → RUN/training.gif
    python make_gif.py --fps 12 --every 2 --hold 5
    python make_gif.py --output training.webp          # sharper and smaller
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("make_gif.py")

import glob
import importlib
import os
import re
import sys
from pathlib import Path

from gan.common.command_line import OptionParser, file, folder, real_number, whole_number
from gan.common.errors import UserError, printable, run_script
from gan.drawing.film import FORMATS

PICTURES, GIF = "generated_images", "training.gif"
CAPTION_HEIGHT = 28  # pixels
WITHIN_EPOCH = re.compile(r"epoch_(\d+)_step_(\d+)\.png")  # what a run draws within an epoch
MOST_PIXELS = 2**26  # of a frame


def main():
    """Run from the command line; returns the exit code."""
    options = parse()
    output = choose_output(options)
    write_film = writer_of(options, output.suffix.lower())
    pictures = find_pictures(options.images)[:: -options.every][::-1]  # the last one stays

    from gan.common.leftovers import remove_leftovers
    from gan.run.manifest import claimed

    remove_leftovers(output.parent)
    durations = [1 / options.fps] * (len(pictures) - 1) + [1 / options.fps + options.hold]
    most_side = FORMATS[output.suffix.lower()].most_side
    with claimed(output):
        write_film(output, frames(pictures, options, most_side), durations, options.loop)
    size = output.stat().st_size / 2**20
    print(f"{printable(output)}: {len(pictures)} frames, {sum(durations):.1f} s, {size:.1f} MiB")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(
        prog="make_gif.py", description="Turn the pictures of a run into a film: a GIF, an "
        "animated WebP or PNG, or an MP4."
    )
    add = parser.add_argument
    add("--images", type=folder, default=PICTURES, metavar="FOLDER|GLOB",
        help="folder with epoch_*.png, the folder of a run, or a quoted pattern "
        "(default: generated_images)")
    add("--output", type=file, metavar="FILE",
        help="the film; its name ends in .gif, in .webp or .png (animated, with all colours), or "
        "in .mp4 (needs requirements-film.txt) (default: training.gif in the run's folder, which "
        "is the one that holds generated_images; for other pictures in this folder)")
    add("--fps", type=real_number(0.1, 50), default=4.0, metavar="X",
        help="frames a second (default: 4)")
    add("--every", type=whole_number(1), default=1, metavar="N",
        help="take every N-th picture, the last one always (default: 1)")
    add("--hold", type=real_number(0, 600), default=2.0, metavar="SECONDS",
        help="how much longer the last picture stays (default: 2)")
    add("--scale", type=real_number(0.05, 8), default=0.5, metavar="X",
        help="size of a frame relative to the picture (default: 0.5)")
    add("--loop", type=whole_number(0, 65535), default=0, metavar="N",
        help="how often it plays, not for .mp4; 0: for ever (default: 0)")
    add("--no-caption", action="store_true", help="leave out the line with the epoch or step")
    add("--force", action="store_true", help="overwrite a file that exists")
    return parser


def parse():
    """Parse the command line; a run's folder becomes that of its pictures."""
    options = make_parser().parse_args()
    within = os.path.join(options.images, PICTURES)
    if os.path.isdir(within) and not glob.glob(os.path.join(glob.escape(options.images),
                                                            "epoch_*.png")):
        options.images = within
    return options


def choose_output(options):
    """Return the path of the film.

    Raises:
        UserError: when something lies there that may not be overwritten.
    """
    from gan.common.files import refuse_existing

    images = Path(options.images)
    if options.output:
        output = Path(options.output)
    else:
        output = images.parent / GIF if images.name == PICTURES else Path(GIF)
    if output.suffix.lower() not in FORMATS:
        raise UserError(f"--output: expected a name that ends in {', '.join(FORMATS)}, "
                        f"got: {output}")
    refuse_existing(output, options.force, "--output")
    return output


def writer_of(options, suffix):
    """Return the function that writes films of a suffix, before any picture is read.

    Raises:
        UserError: for options that the format has no place for, or when what
            writes it is not installed.
    """
    if options.loop and not FORMATS[suffix].loops:
        raise UserError(f"--loop: expected 0, as {suffix} files do not say how often they play, "
                        f"got: {options.loop}")
    if suffix == ".mp4":
        from gan.drawing.mp4 import find_ffmpeg

        find_ffmpeg()
    return getattr(importlib.import_module(FORMATS[suffix].module), FORMATS[suffix].function)


def find_pictures(where):
    """Return `(epoch, step, path)` of the pictures in the order in which they were drawn.

    The step is 0 for a picture after an epoch.

    Args:
        where: a folder with epoch_*.png, or a pattern.

    Raises:
        UserError: when there are none.
    """
    if not os.path.isdir(where) and not glob.has_magic(where) and not os.path.exists(where):
        raise UserError(f"--images: expected a folder or a pattern, got: {where} (no such folder)")
    paths = glob.glob(os.path.join(glob.escape(where), "epoch_*.png")
                      if os.path.isdir(where) else where)
    found = []
    for path in paths:
        name = os.path.basename(path)
        numbers = re.findall(r"\d+", name)
        if within := WITHIN_EPOCH.fullmatch(name):
            found.append((int(within[1]), int(within[2]), path))
        elif numbers:
            found.append((int(numbers[-1]), 0, path))
    if not found:
        raise UserError(f"--images: expected pictures such as epoch_0001.png, got none in: {where}")
    return sorted(found)


def frames(pictures, options, most_side):
    """Read, check, scale and caption the pictures one by one.

    Args:
        pictures: list of (epoch, step, path).
        options: the parsed command line.
        most_side: pixels that the format allows a side.

    Yields:
        uint8 [H, W] or [H, W, 3], all of one size.
    """
    from tqdm import tqdm

    from gan.drawing.images import read_png

    first = None
    for epoch, step, path in tqdm(pictures, unit="frame", disable=not sys.stderr.isatty(),
                                  leave=False):
        image = read_png(path)
        first = first or (image.shape, path)
        if image.shape != first[0]:
            raise UserError(f"{path}: expected a picture of the size of {first[1]} "
                            f"{list(first[0])}, got: {list(image.shape)}")
        yield finish(image, f"step {step:,}" if step else f"epoch {epoch}", options, most_side)


def finish(image, caption, options, most_side):
    """Scale a picture and write the epoch or the step below it."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(image)
    if options.scale != 1:
        width, height = (max(1, round(side * options.scale)) for side in picture.size)
        if max(width, height + CAPTION_HEIGHT) > most_side or width * height > MOST_PIXELS:
            raise UserError(f"--scale: expected frames of at most {MOST_PIXELS:,} pixels and "
                            f"{most_side:,} a side, got: {width} x {height}")
        whole = options.scale >= 1 and options.scale == int(options.scale)
        kind = Image.Resampling.NEAREST if whole else Image.Resampling.BOX
        picture = picture.resize((width, height), kind)
    if options.no_caption:
        return np.asarray(picture)
    canvas = Image.new(picture.mode, (picture.width, picture.height + CAPTION_HEIGHT))
    canvas.paste(picture)
    white = 255 if canvas.mode == "L" else (255, 255, 255)
    ImageDraw.Draw(canvas).text((6, picture.height + 5), caption, fill=white,
                                font=ImageFont.load_default(16))
    return np.asarray(canvas)


if __name__ == "__main__":
    run_script("make_gif.py", main)
