#!/usr/bin/env python3
"""Turn the pictures of a run into an animation: GIF, WebP, PNG or MP4.

    python make_gif.py                                 # generated_images/ → training.gif
    python make_gif.py --images RUN                    # a run elsewhere → RUN/training.gif
    python make_gif.py --fps 12 --every 2 --hold 5
    python make_gif.py --output training.webp          # sharper and smaller
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("make_gif.py")

import glob
import os
import re
import sys
from pathlib import Path

from gan.common.command_line import OptionParser, file, folder, real_number, whole_number
from gan.common.errors import UserError, printable, run_script

PICTURES, GIF = "generated_images", "training.gif"
CAPTION_HEIGHT = 28  # pixels
MAX_PIXELS = 2**26  # of a frame


def main():
    """Run from the command line; returns the exit code."""
    options = make_parser().parse_args()

    from gan.common.files import refuse_existing, remove_leftovers
    from gan.drawing.animations import check_format, write_animation
    from gan.run.folder import claimed

    images = Path(options.images)
    if (images / PICTURES).is_dir() and not any(images.glob("epoch_*.png")):  # a run
        images /= PICTURES
    output = Path(options.output or (images.parent if images.name == PICTURES else "") / Path(GIF))
    check_format(output, options.loop)
    refuse_existing(output, options.force, "--output")
    pictures = find_pictures(str(images))[:: -options.every][::-1]  # the last one stays
    remove_leftovers(output.parent)
    durations = [1 / options.fps] * len(pictures)
    durations[-1] += options.hold
    with claimed(output):
        write_animation(output, frames(pictures, options), durations, options.loop)
    size = output.stat().st_size / 2**20
    print(f"{printable(output)}: {len(pictures)} frames, {sum(durations):.1f} s, {size:.1f} MiB")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="make_gif.py", description="Turn the pictures of a run into an "
                          "animation: GIF, WebP, PNG or MP4.")
    add = parser.add_argument
    add("--images", type=folder, default=PICTURES, metavar="FOLDER|GLOB",
        help="epoch_*.png, a run, or a quoted pattern (default: generated_images)")
    add("--output", type=file, metavar="FILE",
        help=".gif, .webp, .png or .mp4 (default: training.gif in the run)")
    add("--fps", type=real_number(0.1, 50), default=4.0, metavar="X",
        help="frames per second (default: 4)")
    add("--every", type=whole_number(1), default=1, metavar="N",
        help="take every N-th picture, the last one always (default: 1)")
    add("--hold", type=real_number(0, 600), default=2.0, metavar="SECONDS",
        help="how much longer the last picture stays (default: 2)")
    add("--scale", type=real_number(0.05, 8), default=0.5, metavar="X",
        help="size of a frame relative to the picture (default: 0.5)")
    add("--loop", type=whole_number(0, 65535), default=0, metavar="N",
        help="how often it plays, 0 forever; not for .mp4 (default: 0)")
    add("--no-caption", action="store_true", help="leave out the line with the epoch or step")
    add("--force", action="store_true", help="overwrite a file that exists")
    return parser


def find_pictures(where):
    """Return `(epoch, step, path)` of pictures by epoch, and step within it, 0 at its end.

    Args:
        where: a folder with epoch_*.png, or a pattern.

    Raises:
        UserError: when there are none.
    """
    found = []
    for path in glob.glob(os.path.join(glob.escape(where), "epoch_*.png")
                          if os.path.isdir(where) else where):
        numbers = [int(number) for number in re.findall(r"\d+", os.path.basename(path))]
        if re.search(r"\d+_step_\d+\.png$", path):  # drawn within an epoch
            found.append((*numbers[-2:], path))
        elif numbers:
            found.append((numbers[-1], 0, path))
    if not found:
        raise UserError(f"--images: expected pictures such as epoch_0001.png, got none in: {where}")
    return sorted(found)


def frames(pictures, options):
    """Read, check, scale and caption pictures one by one; yields uint8 [H, W] or [H, W, 3]."""
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
        yield finish(image, f"step {step:,}" if step else f"epoch {epoch}", options)


def finish(image, caption, options):
    """Scale a picture and write the epoch or the step below it."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture, scale = Image.fromarray(image), options.scale
    if scale != 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        if width * height > MAX_PIXELS:
            raise UserError(f"--scale: expected frames of at most {MAX_PIXELS:,} pixels, "
                            f"got: {width} x {height}")
        whole = scale >= 1 and scale == int(scale)
        picture = picture.resize((width, height), Image.Resampling.NEAREST if whole
                                 else Image.Resampling.BOX)
    if options.no_caption:
        return np.asarray(picture)
    canvas = Image.new(picture.mode, (picture.width, picture.height + CAPTION_HEIGHT))
    canvas.paste(picture)
    ImageDraw.Draw(canvas).text((6, picture.height + 5), caption, font=ImageFont.load_default(16),
                                fill=255 if canvas.mode == "L" else (255, 255, 255))
    return np.asarray(canvas)


if __name__ == "__main__":
    run_script("make_gif.py", main)
