#!/usr/bin/env python3
"""Draw images, or points, from an exported generator.

    python generate.py --grid 8x8                      # one sheet of 64 images
    python generate.py --num-images 100                # 100 separate PNG files
    python generate.py --label each --grid 10x10       # one class a row
    python generate.py --interpolate 0,1,2,3           # a walk as a looping GIF
    python generate.py --csv --num-images 5000         # points, of simulated data
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("generate.py")

import argparse
import functools
import re
from pathlib import Path

from gan.common.command_line import OptionParser, folder, real_number, whole_number
from gan.common.errors import UserError, run_script
from gan.kinds import KINDS, Points, kind_of
from gan.request import MOST_SEEDS, Request, choose_classes, parse_seeds

MOST_IN_GRID = 10**4  # images of one sheet
MOST_IN_PICTURE = 10**6  # points
MOST_FRAMES = 10**4  # of one GIF, seven minutes
IMAGES, POINTS, FRAMES = 64, 2000, 24  # drawn when no number is given


def main():
    """Run from the command line; returns the exit code."""
    options = parse()

    from gan.common.device import import_tensorflow
    from gan.common.files import make_folder, refuse_existing, remove_leftovers
    from gan.metadata import find_export, read_metadata
    from gan.saved_generator import SavedGenerator

    model, outdir = find_export(options.model), Path(options.outdir)
    metadata = read_metadata(model)
    kind = kind_of(metadata["sample_shape"])
    refuse_form(options, kind)
    points = kind is Points
    request = make_request(options, metadata, points)
    write, paths = choose_form(options, outdir, request, points)
    for path in paths:
        refuse_existing(path, options.force, "--outdir")
    make_folder(outdir, "--outdir")
    remove_leftovers(outdir)
    import_tensorflow(verbose=False)
    write(SavedGenerator(model), request)
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(
        prog="generate.py",
        description="Draw images from a generator that train_gan.py exported. A seed names one "
        "image: the same seed, the same image.",
    )
    add = parser.add_argument
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="the exported SavedModel, or the folder of the run that wrote it "
        "(default: exported_model)")
    add("--outdir", type=folder, default="generated", metavar="FOLDER",
        help="where the files go (default: generated)")
    what = parser.add_argument_group("which images")
    what.add_argument("--num-images", type=whole_number(1, MOST_SEEDS), metavar="N",
                      help="how many (default: 64, or as many as the grid has places; 2000 points)")
    what.add_argument("--seed", type=whole_number(0, 2**62), metavar="N",
                      help="seed of the first image, the next ones count on (default: 0)")
    what.add_argument("--seeds", type=parse_seeds, metavar="LIST",
                      help="these seeds instead, such as 0,3,8-15")
    what.add_argument("--label", metavar="CLASS",
                      help="only this class, by name or number, or 'each': class after class")
    what.add_argument("--truncation", type=real_number(0, 10), default=1.0, metavar="X",
                      help="scale of the latent vectors: below 1 more typical and less varied "
                      "images (default: 1)")
    form = parser.add_argument_group("in which form (default: one PNG an image, or a picture "
                                     "of all points)")
    form.add_argument("--grid", type=parse_grid, metavar="RxC",
                      help="one sheet with so many rows and columns")
    form.add_argument("--npz", action="store_true",
                      help="one .npz file: images uint8 [N,H,W,C] or points float32 [N,2], seeds, "
                      "labels if asked for")
    form.add_argument("--csv", action="store_true", help="points as one .csv file: seed, x, y")
    form.add_argument("--interpolate", type=parse_seeds, metavar="SEEDS",
                      help="a looping GIF that walks from seed to seed on great circles, and from "
                      "class to class")
    form.add_argument("--frames", type=whole_number(2, MOST_FRAMES), metavar="N",
                      help="frames from one seed to the next (default: 24)")
    add("--batch-size", type=whole_number(1, 65536), default=500, metavar="N",
        help="images drawn at a time (default: 500)")
    add("--force", action="store_true", help="overwrite files that exist")
    return parser


def parse():
    """Parse the command line and refuse options that contradict each other."""
    options = make_parser().parse_args()
    forms = [name for name in ("grid", "npz", "csv", "interpolate") if getattr(options, name)]
    if len(forms) > 1:
        raise UserError(f"--{forms[1]}: expected one form of output, got also: --{forms[0]}")
    counted = [name for name in ("seed", "num_images") if getattr(options, name) is not None]
    if counted and (options.seeds or options.interpolate):
        chosen = "seeds" if options.seeds else "interpolate"
        raise UserError(f"--{chosen}: expected either a list of seeds or a count, "
                        f"got also: --{counted[0].replace('_', '-')}")
    if options.seeds and options.interpolate:
        raise UserError("--interpolate: expected its own list of seeds, got also: --seeds")
    if isinstance(options.seeds, list) and len(set(options.seeds)) < len(options.seeds):
        raise UserError("--seeds: expected each seed once, as a seed names one image, got one "
                        "more often")
    if options.frames and not options.interpolate:
        raise UserError("--frames needs --interpolate")
    options.frames = options.frames or FRAMES
    if options.interpolate:
        check_walk(len(options.interpolate), options.frames)
    return options


def check_walk(seeds, frames):
    """Refuse a walk through too few or too many seeds."""
    if seeds < 2:
        raise UserError("--interpolate: expected at least two seeds, got: one")
    if seeds * frames > MOST_FRAMES:
        raise UserError(f"--interpolate: expected at most {MOST_FRAMES:,} frames in all, got: "
                        f"{seeds * frames:,} ({seeds:,} seeds, --frames {frames})")


def parse_grid(text):
    """Argparse type: `8x8` → (rows, columns)."""
    match = re.fullmatch(r"([1-9]\d{0,3})[xX]([1-9]\d{0,3})", text)
    if not match or int(match[1]) * int(match[2]) > MOST_IN_GRID:
        raise argparse.ArgumentTypeError(f"expected rows x columns such as 8x8, at most "
                                         f"{MOST_IN_GRID:,} images, got: {text}")
    return int(match[1]), int(match[2])


def refuse_form(options, kind):
    """Refuse a form that samples of a kind are not drawn in."""
    for name in ("grid", "interpolate", "csv"):
        if getattr(options, name) and name not in kind.forms:
            drawn = next(other.name for other in KINDS if name in other.forms)
            raise UserError(f"--{name}: expected a generator of {drawn}, "
                            f"got one of {kind.name}: {options.model}")


def make_request(options, metadata, points):
    """Return the `Request`: seeds and classes, from what was given and the defaults."""
    classes = choose_classes(options.label, metadata)
    seeds = options.interpolate or options.seeds
    places = options.grid[0] * options.grid[1] if options.grid else POINTS if points else IMAGES
    if seeds is None:
        first = options.seed or 0
        seeds = range(first, first + (options.num_images or places))
    if options.grid and len(seeds) > places:
        raise UserError(f"--grid: expected at least {len(seeds):,} places, one for each image, "
                        f"got: {options.grid[0]}x{options.grid[1]}")
    if points and not (options.csv or options.npz) and len(seeds) > MOST_IN_PICTURE:
        raise UserError(f"--num-images: expected at most {MOST_IN_PICTURE:,} points in a picture "
                        f"(--csv and --npz take more), got: {len(seeds):,}")
    if classes and len(classes.numbers) > len(seeds):
        print(f"note: {len(seeds)} images for {len(classes.numbers)} classes; only the first "
              f"{len(seeds)} classes are drawn")
        classes = classes.first(len(seeds))
    return Request(seeds, classes, options.truncation, options.batch_size)


def choose_form(options, outdir, request, points):
    """Choose what is written.

    Args:
        options: the parsed command line.
        outdir: the folder that is written to.
        request: the `Request`.
        points: whether the generator draws points rather than images.

    Returns:
        `(write, paths)`: a function of a generator and the request, and the files
        that it writes, an iterable of paths.
    """
    from gan import forms

    def one_file(form, ending, write, *settings):
        path = outdir / request.file_name(form, ending)
        return functools.partial(write, path, *settings), [path]

    if options.interpolate:
        path = outdir / request.file_name("interpolation", ".gif", default_seeds=False)
        return functools.partial(forms.write_walk, path, options.frames), [path]
    if options.grid:
        rows, columns = options.grid
        return one_file(f"grid_{rows}x{columns}", ".png", forms.write_sheet, columns)
    if options.csv:
        return one_file("points", ".csv", forms.write_csv)
    if options.npz:
        return one_file("points" if points else "images", ".npz", forms.write_npz)
    if points:
        return one_file("points", ".png", forms.write_scatter)
    # One by one, as there may be a million of them.
    names = map(request.image_name, range(len(request.seeds)))
    return functools.partial(forms.write_pngs, outdir), (outdir / name for name in names)


if __name__ == "__main__":
    run_script("generate.py", main)
