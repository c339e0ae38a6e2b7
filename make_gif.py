#!/usr/bin/env python3
"""Turn the pictures of a run, or of several side by side, into an animation.

    python make_gif.py                                 # generated_images/ → training.gif
    python make_gif.py --images RUN                    # a run elsewhere → RUN/training.gif
    python make_gif.py --images RUN OTHER              # side by side → comparison.gif
    python make_gif.py --fps 12 --every 2 --hold 5 --output training.webp
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("make_gif.py")

import bisect
import contextlib
from pathlib import Path

from tqdm import tqdm

from gan.common.command_line import OptionParser, file, folder, real_number, whole_number
from gan.common.errors import UserError, printable, run_script
from gan.common.files import refuse_existing
from gan.drawing.animations import (
    check_format,
    resized,
    side_by_side,
    with_text,
    write_animation,
)
from gan.drawing.images import pictures_in, read_png
from gan.run.content import read_history
from gan.run.folder import claimed

PICTURES = "generated_images"


def main():
    """Run from the command line; returns the exit code."""
    options = make_parser().parse_args()
    places = [Path(place) for place in options.images]
    places = [place / PICTURES if (place / PICTURES).is_dir() and not any(place.glob("epoch_*.png"))
              else place for place in places]
    homes = [place.parent if place.name == PICTURES else place for place in places]
    titles = options.title or ([home.absolute().name for home in homes] if homes[1:] else [""])
    if len(titles) != len(places):
        raise UserError(f"--title: expected one for each of {len(places)} runs, got: {len(titles)}")
    beside = homes[0] if homes[0] != places[0] else Path()
    output = Path(options.output or ("comparison.gif" if homes[1:] else beside / "training.gif"))
    check_format(output, options.loop)
    refuse_existing(output, options.force, "--output")
    runs = [Pictures(place) for place in places]
    moments = sorted({moment for run in runs for moment in run.moments})
    moments = moments[:: -options.every][::-1]  # the last one stays
    durations = [1 / options.fps] * len(moments)
    durations[-1] += options.hold
    with claimed(output):
        write_animation(output, frames(runs, titles, moments, options), durations, options.loop)
    size = output.stat().st_size / 2**20
    print(f"{printable(output)}: {len(moments)} frames, {sum(durations):.1f} s, {size:.1f} MiB")
    return 0


class Pictures:
    """The epoch_*.png of a folder, or of a pattern; `moments` are (epoch, step), ascending."""

    def __init__(self, where):
        self._paths = {(epoch, step): path for epoch, step, path in pictures_in(where)}
        if not self._paths:
            raise UserError("--images: expected pictures such as epoch_0001.png, got none in: "
                            f"{where}")
        self.moments = [*self._paths]
        self._first = self._paths[self.moments[0]]
        self._size = read_png(self._first).shape
        self._steps = {0: 0}  # at the end of each epoch
        history = self._first.absolute().parent.parent / "history.csv"
        with contextlib.suppress(UserError, KeyError):  # somebody else's
            self._steps |= {row["epoch"]: row["step"] for row in read_history(history)}
        self.has_steps = all(step or epoch in self._steps for epoch, step in self.moments)

    def at(self, moment, by_step):
        """Return the last picture drawn by a moment, uint8 [H, W] or [H, W, C], and its caption."""
        epoch, step = self.moments[max(bisect.bisect(self.moments, moment) - 1, 0)]
        path = self._paths[epoch, step]
        image = read_png(path)
        if image.shape != self._size:
            raise UserError(f"{path}: expected a picture of the size of {self._first} "
                            f"{list(self._size)}, got: {list(image.shape)}")
        return image, f"step {step or self._steps[epoch]:,}" if by_step else f"epoch {epoch}"


def frames(runs, titles, moments, options):
    """Yield what each run had drawn last at each moment, side by side."""
    by_step = all(run.has_steps for run in runs)
    for moment in tqdm(moments, unit="frame", disable=None, leave=False):
        shown = []
        for run, title in zip(runs, titles, strict=True):
            image, caption = run.at(moment, by_step)
            shown.append(with_text(resized(image, options.scale), title,
                                   "" if options.no_caption else caption))
        yield side_by_side(shown)


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="make_gif.py", description="Turn the pictures of a run, or of "
                          "several side by side, into an animation: GIF, WebP, PNG or MP4.")
    add = parser.add_argument
    add("--images", type=folder, nargs="+", default=[PICTURES], metavar="FOLDER|GLOB",
        help="runs, folders or quoted patterns of epoch_*.png (default: generated_images)")
    add("--output", type=file, metavar="FILE",
        help=".gif, .webp, .png or .mp4 (default: training.gif in the run)")
    add("--title", nargs="+", metavar="TEXT",
        help="a line above each run (default: the names of several)")
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
    add("--no-caption", action="store_true", help="leave out the line with the step or epoch")
    add("--force", action="store_true", help="overwrite a file that exists")
    return parser


if __name__ == "__main__":
    run_script("make_gif.py", main)
