#!/usr/bin/env python3
"""Draw images, or points, from an exported generator.

    python generate.py                                          # PNG files in generated/
    python generate.py --output grid.png                        # a grid of 64 images
    python generate.py --output grid.png --label each --grid 10x10   # one class a row
    python generate.py --output arrays.npz --num-images 5000
    python generate.py --output path.gif --interpolate 0,1,2,3  # a looping animation
"""

if __name__ == "__main__":
    from gan.common.errors import exit_on_interrupt

    exit_on_interrupt("generate.py")

import argparse
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan.common.command_line import (
    OptionParser,
    file,
    flag,
    folder,
    real_number,
    seed_list,
    whole_number,
)
from gan.common.device import import_tensorflow
from gan.common.errors import UserError, printable, run_script
from gan.common.files import atomic_file, make_folder, refuse_existing, remove_leftovers
from gan.data.sample_types import Points, sample_type_of
from gan.drawing import animations
from gan.drawing.images import enlarge, image_grid, write_png
from gan.generator import SavedGenerator, class_number, find_export, interpolate, read_metadata

MAX_SEEDS, MAX_IN_GRID, MAX_IN_PLOT, MAX_FRAMES = 10**9, 10**4, 10**6, 10**4
IMAGES, POINTS, FRAMES = 64, 2000, 24  # drawn when no number is given
FRAMES_PER_SECOND = 24
FRAME_SIDE = 256  # pixels that small images are enlarged towards
CONTRADICTIONS = [("seeds", "seed"), ("seeds", "num_images"), ("interpolate", "seed"),
                  ("interpolate", "num_images"), ("interpolate", "seeds"), ("interpolate", "grid")]


def main():
    """Run from the command line; returns the exit code."""
    options = parse()
    model = find_export(options.model)
    metadata = read_metadata(model)
    points = sample_type_of(metadata["sample_shape"]) is Points
    write = choose_writer(options, points)
    options.classes = choose_classes(options.label, metadata)
    options.seeds = choose_seeds(options, points, write)
    target, option = Path(options.output or options.outdir), "--output"
    outdir, paths = target.parent, [target]
    if write is write_files:
        outdir, option = target, "--outdir"
        paths = file_paths(options, metadata["class_names"], 0, len(options.seeds))
    for path in paths:  # one by one, as there may be a million of them
        refuse_existing(path, options.force, option)
    make_folder(outdir, option)
    remove_leftovers(outdir)
    import_tensorflow(verbose=False)
    what = write(target, SavedGenerator(model), options)
    print(f"{printable(target)}: {what}, seeds {options.seeds[0]} to {options.seeds[-1]}")
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
    add("--num-images", type=whole_number(1, MAX_SEEDS), metavar="N",
        help="how many (default: 64, or as the grid; 2000 points)")
    add("--seed", type=whole_number(0, 2**62), metavar="N",
        help="seed of the first image, the next ones count on (default: 0)")
    add("--seeds", type=seed_list, metavar="LIST", help="these seeds instead, such as 0,3,8-15")
    add("--label", metavar="CLASS",
        help="only this class, by name or number, or 'each': class after class")
    add("--truncation", type=real_number(0, 10), default=1.0, metavar="X",
        help="scale of the latents: below 1 more typical, less varied (default: 1)")
    add("--grid", type=parse_grid, metavar="RxC", help="rows and columns of a grid")
    add("--interpolate", type=seed_list, metavar="SEEDS",
        help="an animation from seed to seed, and from class to class")
    add("--frames", type=whole_number(2, MAX_FRAMES), metavar="N",
        help=f"frames from one seed to the next (default: {FRAMES})")
    add("--batch-size", type=whole_number(1, 65536), default=500, metavar="N",
        help="images drawn at a time (default: 500)")
    add("--force", action="store_true", help="overwrite files that exist")
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
    path, seeds = options.interpolate, options.seeds
    if isinstance(seeds, list) and len(set(seeds)) < len(seeds):
        raise UserError("--seeds: expected each seed once, as a seed names one image, got one "
                        "more often")
    if options.frames and not path:
        raise UserError("--frames needs --interpolate")
    options.frames = options.frames or FRAMES
    if path and not 2 <= len(path) <= MAX_FRAMES // options.frames:
        raise UserError(f"--interpolate: expected at least two seeds and at most {MAX_FRAMES:,} "
                        f"frames in all, got: {len(path):,} times {options.frames} frames")
    return options


def choose_writer(options, points):
    """Return the function that writes what is asked for, by the suffix of `--output`.

    Args:
        options: the parsed command line.
        points: whether the generator draws points rather than images.
    """
    suffix, got = Path(options.output or "").suffix.lower(), f"got: {options.output or 'none'}"
    for name in ("grid", "interpolate"):
        if points and getattr(options, name):
            raise UserError(f"--{name}: expected a generator of images, got one of points: "
                            f"{options.model}")
    if options.interpolate:
        if not suffix:
            raise UserError(f"--interpolate: expected --output FILE for the animation, {got}")
        animations.check_format(options.output)
        return write_animation
    if options.grid and suffix != ".png":
        raise UserError(f"--grid: expected --output FILE.png for the grid, {got}")
    if not points and not options.output:
        return write_files
    writers = {".png": write_grid, ".npz": write_npz}
    if points:
        writers = {".png": write_plot, ".npz": write_npz, ".csv": write_csv}
    if suffix not in writers:
        raise UserError(f"--output: expected a file that ends in {', '.join(writers)}"
                        f"{'' if points else ' (with --interpolate, an animation)'}, {got}")
    return writers[suffix]


def choose_seeds(options, points, write):
    """Return the seeds to draw: those given, or as many as asked for, or as there are places."""
    places = POINTS if points else IMAGES
    if options.grid:
        places = options.grid[0] * options.grid[1]
    first, count = options.seed or 0, options.num_images or places
    seeds = options.interpolate or options.seeds or range(first, first + count)
    if options.grid and len(seeds) > places:
        raise UserError(f"--grid: expected at least {len(seeds):,} places, one for each image, "
                        f"got: {options.grid[0]}x{options.grid[1]}")
    most = {write_grid: MAX_IN_GRID, write_plot: MAX_IN_PLOT}.get(write, MAX_SEEDS)
    if len(seeds) > most:
        raise UserError(f"--num-images: expected at most {most:,} in a picture (.npz takes more), "
                        f"got: {len(seeds):,}")
    if options.classes and len(options.classes) > len(seeds):
        print(f"note: {len(seeds)} images for {len(options.classes)} classes; only the first "
              f"{len(seeds)} classes are drawn")
        options.classes = options.classes[: len(seeds)]
    return seeds


def choose_classes(text, metadata):
    """Return the numbers of the classes that `--label` names, or None.

    Args:
        text: a class name, its number, "each", or None.
        metadata: dict, see `read_metadata`.
    """
    if text is None:
        return None
    if text == "each":
        return metadata["classes"] or [class_number(metadata, text, "--label")]
    return [class_number(metadata, text, "--label")]


def labels_of(options, start, stop):
    """Return the class numbers of samples from start to stop: equal blocks, or None."""
    if options.classes is None:
        return None
    return [options.classes[position * len(options.classes) // len(options.seeds)]
            for position in range(start, stop)]


def file_paths(options, class_names, start, stop):
    """Yield the path of each image: seed_000003.png, with its class where one was asked for."""
    for position in range(start, stop):
        name = f"seed_{options.seeds[position]:06d}"
        for label in labels_of(options, position, position + 1) or ():
            class_name = re.sub(r"[^\w.-]+", "_", class_names[label]).strip("._-")
            name += f"_class_{class_name[:40] or label}"
        yield Path(options.outdir) / f"{name}.png"


# Writers: each draws what the options ask for, writes it and says what it is.


def write_files(outdir, generator, options):
    """Write each image to a file of its own."""
    for start, images in draw(generator, options):
        paths = file_paths(options, generator.class_names, start, start + len(images))
        for path, image in zip(paths, images, strict=True):
            write_png(path, image)
    return f"{len(options.seeds)} images"


def write_grid(path, generator, options):
    """Write a grid of all images."""
    images = np.concatenate([part for _, part in draw(generator, options)])
    write_png(path, image_grid(images, options.grid and options.grid[1]))
    return f"{len(images)} images"


def write_plot(path, generator, options):
    """Write a scatter plot of all points, on the axes of the training pictures."""
    from gan.drawing.plots import scatter_plot  # here, as matplotlib is slow to import

    points = np.concatenate([part for _, part in draw(generator, options)])
    write_png(path, scatter_plot(generator.metadata["extent"], generated=points))
    return f"{len(points)} points"


def write_npz(path, generator, options):
    """Stream all samples to one file: images or points, seeds, and labels if asked for."""
    kind, count = sample_type_of(generator.sample_shape), len(options.seeds)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind.dtype)),
              "fortran_order": False, "shape": (count, *generator.sample_shape)}
    others = {"seeds": np.array(options.seeds, np.int64)}
    if options.classes:
        others["labels"] = np.array(labels_of(options, 0, count), np.int32)
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open(f"{kind.name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for _, samples in draw(generator, options):
                member.write(samples.tobytes())
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return f"{count} {kind.name}"


def write_csv(path, generator, options):
    """Stream all points to one file, a line each."""
    with atomic_file(path) as file:
        file.write(b"seed,x,y\n")
        for start, points in draw(generator, options):
            for seed, (x, y) in zip(options.seeds[start:], points, strict=False):
                file.write(f"{seed},{x:.9g},{y:.9g}\n".encode())
    return f"{len(options.seeds)} points"


def write_animation(path, generator, options):
    """Write an animation that goes from seed to seed and back to the first."""
    count = len(options.seeds) * options.frames
    images = interpolate(generator, list(options.seeds), labels_of(options, 0, len(options.seeds)),
                         options.truncation, options.frames, options.batch_size)
    factor = max(1, FRAME_SIDE // generator.sample_shape[0])
    frames = (enlarge(image if image.shape[-1] == 3 else image[..., 0], factor)
              for image in progress(images, count, "frame"))
    animations.write_animation(path, frames, [1 / FRAMES_PER_SECOND] * count)
    return f"{count} frames"


def draw(generator, options):
    """Draw a batch at a time; yields the position of its first sample, and the samples."""
    count, size = len(options.seeds), options.batch_size
    for start in progress(range(0, count, size), -(-count // size), "batch"):
        stop = min(start + size, count)
        seeds = np.array(options.seeds[start:stop], np.int64)
        labels = labels_of(options, start, stop)
        yield start, generator.sample(seeds, labels, options.truncation)


def progress(steps, count, unit):
    """Show how far an iteration is, on a terminal."""
    return tqdm(steps, total=count, unit=unit, disable=not sys.stderr.isatty(), leave=False)


if __name__ == "__main__":
    run_script("generate.py", main)
