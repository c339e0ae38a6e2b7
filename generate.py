#!/usr/bin/env python3
"""Draw images, or points, from an exported generator.

    python generate.py                                          # PNG files in generated/
    python generate.py --output grid.png --label each --grid 10x10   # one class a row
    python generate.py --output arrays.npz --num-images 5000
    python generate.py --label each --folders                   # class folders to train on
    python generate.py --output path.gif --interpolate 0,1,2,3  # a looping animation
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("generate.py")

import argparse
import functools
import re
from pathlib import Path

from gan.common.command_line import (
    OptionParser,
    file,
    flag,
    folder,
    real_number,
    seed_list,
    whole_number,
)
from gan.common.errors import UserError, counted, note, printable, run_script
from gan.common.files import make_folder, refuse_existing
from gan.data.sample_types import Points, sample_type_of
from gan.drawing import samples
from gan.drawing.animations import check_format
from gan.generator import SavedGenerator
from gan.run.exported import class_number, read_latents

MAX_SEEDS, MAX_IN_GRID, MAX_IN_PLOT, MAX_FRAMES = 10**9, 10**4, 10**6, 10**4
ARRAYS = "samples.npz"  # in --outdir
IMAGES, POINTS, FRAMES = 64, 2000, 24  # drawn when no number is given
CONTRADICTIONS = [("seeds", "seed"), ("seeds", "num_images"), ("interpolate", "seed"),
                  ("interpolate", "num_images"), ("interpolate", "seeds"), ("folders", "output"),
                  ("npz", "output"), ("npz", "folders"), ("npz", "interpolate"), ("npz", "grid"),
                  ("latents", "label"), ("latents", "seed"), ("latents", "num_images")]
OF_ANIMATIONS = ("frames", "fps", "hold", "scale", "caption")
NEEDED = dict.fromkeys(OF_ANIMATIONS, "interpolate") | {"folders": "label"}


def main():
    """Run from the command line; returns the exit code."""
    options = parse()
    generator = SavedGenerator(options.model)
    points = sample_type_of(generator.sample_shape) is Points
    write, most = choose_writer(options, points)
    given = generator.given = options.latents and read_latents(options.latents, generator.metadata)
    seeds = choose_seeds(options, points, most, given and len(given[0]))
    classes = choose_classes(options.label, generator.metadata, len(seeds))
    wanted = samples.Wanted(seeds, classes, options.truncation, options.batch_size)

    # Refuse what is in the way before TensorFlow is imported.
    target = Path(options.output or options.outdir)
    option = "--outdir" if options.npz or options.output is None else "--output"
    outdir, paths = target.parent, [target]
    if options.output is None:
        outdir = target
        paths = samples.picture_paths(target, wanted, generator.class_names, options.folders)
    for path in paths:  # one by one, as there may be a million of them
        refuse_existing(path, options.force, option)
    make_folder(outdir, option)

    what = write(target, wanted, generator) or counted(len(seeds), "point" if points else "image")
    print(f"{printable(target)}: {what}, seeds {wanted.seeds[0]} to {wanted.seeds[-1]}")
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
        help="the export, or the run that wrote it (default: exported_model)")
    add("--output", type=file, metavar="FILE",
        help=".png for a grid or plot, .npz, .csv, or an animation")
    add("--outdir", type=folder, default="generated", metavar="FOLDER",
        help="where PNG files go without --output (default: generated)")
    add("--npz", action="store_true", default=None,
        help=f"all images in one file instead, {ARRAYS}")
    add("--num-images", type=whole_number(1, MAX_SEEDS), metavar="N",
        help="how many (default: 64, or as the grid; 2000 points)")
    add("--seed", type=whole_number(0, 2**62), metavar="N",
        help="seed of the first image, the next ones count on (default: 0)")
    add("--seeds", type=seed_list, metavar="LIST", help="these seeds instead, such as 0,3,8-15")
    add("--latents", type=file, metavar="FILE",
        help="latents of gan.project in place of seeds; a seed is a row")
    add("--label", metavar="CLASS",
        help="only this class, by name or number, or 'each': class after class")
    add("--folders", action="store_true", default=None,
        help="PNG files in a folder per class, as train_gan.py reads them")
    add("--truncation", type=real_number(0, 10), default=1.0, metavar="X",
        help="scale of the latents: below 1 more typical, less varied (default: 1)")
    add("--grid", type=parse_grid, metavar="RxC", help="rows and columns of a grid")
    add("--batch-size", type=whole_number(1, 65536), default=500, metavar="N",
        help="images drawn at a time, at most (default: 500)")
    add("--force", action="store_true", help="overwrite files that exist")
    add = parser.add_argument_group("interpolation").add_argument
    add("--interpolate", type=seed_list, metavar="SEEDS",
        help="an animation from seed to seed; with --grid, in each cell")
    add("--frames", type=whole_number(2, MAX_FRAMES), metavar="N",
        help=f"frames from one seed to the next (default: {FRAMES})")
    add("--fps", type=real_number(0.1, 50), metavar="X", help="frames per second (default: 24)")
    add("--hold", type=real_number(0, 600), metavar="SECONDS",
        help="how much longer the image of each seed stays (default: 0)")
    add("--scale", type=real_number(0.05, 64), metavar="X",
        help="size of a frame relative to the images (default: enlarged)")
    add("--caption", action="store_true", default=None,
        help="write seeds and classes below the images")
    return parser


def parse_grid(text):
    """Argparse type: `8x8` → (rows, columns)."""
    match = re.fullmatch(r"([1-9]\d{0,3})[xX]([1-9]\d{0,3})", text)
    if not match or int(match[1]) * int(match[2]) > MAX_IN_GRID:
        raise argparse.ArgumentTypeError(f"expected rows x columns such as 8x8, at most "
                                         f"{MAX_IN_GRID:,} images, got: {text}")
    return int(match[1]), int(match[2])


def parse():
    """Parse the command line and refuse options that contradict each other."""
    options = make_parser().parse_args()
    for name, other in CONTRADICTIONS:
        if getattr(options, name) is not None and getattr(options, other) is not None:
            raise UserError(f"{flag(name)}: expected no {flag(other)} beside it, got both")
    for name, needed in NEEDED.items():
        if getattr(options, name) is not None and getattr(options, needed) is None:
            raise UserError(f"{flag(name)} needs {flag(needed)}")
    if options.npz:
        options.output = Path(options.outdir) / ARRAYS
    if isinstance(options.seeds, list) and len(set(options.seeds)) < len(options.seeds):
        raise UserError("--seeds: expected each seed once, got one more often")
    return options


def choose_writer(options, points):
    """Return the function that writes what `--output` names, and how many samples it takes."""
    for name in ("grid", "interpolate"):
        if points and getattr(options, name):
            raise UserError(f"--{name}: expected a generator of images, got one of points: "
                            f"{options.model}")
    if options.interpolate:
        check_format(options.output or "none")
        given = {name: getattr(options, name) for name in OF_ANIMATIONS}
        given = {name: value for name, value in given.items() if value is not None}
        write = functools.partial(samples.write_interpolation, grid=options.grid, **given)
        return write, MAX_FRAMES // given.get("frames", FRAMES)
    if not points and not options.grid and options.output is None:
        return functools.partial(samples.write_pictures, folders=options.folders), MAX_SEEDS
    writers = {".png": samples.write_plot, ".csv": samples.write_csv, ".npz": samples.write_npz}
    if not points:
        columns = options.grid and options.grid[1]
        writers = {".png": functools.partial(samples.write_grid, columns=columns),
                   ".npz": samples.write_npz}
    suffix = Path(options.output or "").suffix.lower()
    expected = [".png"] if options.grid else [*writers]
    if suffix not in expected:
        raise UserError(f"--output: expected a file that ends in {', '.join(expected)}, "
                        f"got: {options.output or 'none'}")
    most_in_png = MAX_IN_PLOT if points else MAX_IN_GRID
    return writers[suffix], most_in_png if suffix == ".png" else MAX_SEEDS


def choose_seeds(options, points, most, rows_given=None):
    """Return the seeds to draw: those given, or as many as asked for, or as there are places."""
    rows, columns = options.grid or (1, 1)
    places = rows * columns if options.grid else POINTS if points else IMAGES
    first, count = options.seed or 0, options.num_images or rows_given or places
    seeds = options.interpolate or options.seeds or range(first, first + count)
    if rows_given and max(seeds) >= rows_given:
        raise UserError(f"--latents: expected seeds below {rows_given}, the rows of the file, got: "
                        f"{max(seeds)}")
    if options.interpolate and (len(seeds) % (rows * columns) or len(seeds) < 2 * rows * columns):
        raise UserError("--interpolate: expected at least two seeds, and as many for each cell of "
                        f"the grid, got: {len(seeds):,}")
    if options.grid and not options.interpolate and len(seeds) > places:
        raise UserError(f"--grid: expected at least {len(seeds):,} places, one for each image, "
                        f"got: {rows}x{columns}")
    if len(seeds) > most:
        option = "--interpolate" if options.interpolate else "--num-images"
        raise UserError(f"{option}: expected at most {most:,} in this file, got: {len(seeds):,}")
    return seeds


def choose_classes(text, metadata, count):
    """Return the numbers of the classes that `--label` names, `count` at most, or None."""
    if text is None:
        return None
    if text != "each" or not metadata["classes"]:
        return [class_number(metadata, text, "--label")]
    classes = metadata["classes"]
    if len(classes) > count:
        note(f"{count} images for {len(classes)} classes; only the first {count} classes are drawn")
    return classes[:count]


if __name__ == "__main__":
    run_script("generate.py", main)
