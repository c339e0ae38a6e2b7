#!/usr/bin/env python3
"""Draw images, or points, from an exported generator.

    python generate.py --grid 8x8                      # one sheet of 64 images
    python generate.py --num-images 100                # 100 separate PNG files
    python generate.py --label each --grid 10x10       # one class a row
    python generate.py --interpolate 0,1,2,3           # a walk as a looping GIF
    python generate.py --csv --num-images 5000         # points, of simulated data
"""

import re
import sys
from pathlib import Path

import numpy as np

from gan.common.errors import UserError, run_script
from gan.common.options import OptionParser, real_number, whole_number

MOST_SEEDS = 10**9
MOST_GRID = 10**4  # images of one sheet
IMAGES, POINTS = 64, 2000  # drawn when no number is given


def main():
    """Run from the command line; returns the exit code."""
    options = parse()

    from gan.common.device import import_tensorflow
    from gan.common.files import make_folder
    from gan.saved_generator import SavedGenerator, read_about

    about = read_about(options.model)
    points = len(about["sample_shape"]) == 1
    choose_seeds(options, points)
    draw, names = choose_form(options, points)
    refuse_overwriting(options, names)
    labels = choose_labels(options.label, about["class_names"], options)
    make_folder(options.outdir, "--outdir")
    import_tensorflow(verbose=False)
    draw(SavedGenerator(options.model), options, labels)
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(
        prog="generate.py",
        description="Draw images from a generator that train_gan.py exported. A seed names one "
        "image: the same seed, the same image.",
    )
    add = parser.add_argument
    add("--model", type=Path, default=Path("exported_model"), metavar="FOLDER",
        help="the exported SavedModel (default: exported_model)")
    add("--outdir", type=Path, default=Path("generated"), metavar="FOLDER",
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
    what.add_argument("--truncation", type=real_number(0, 10), metavar="X",
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
                      help="a looping GIF that walks from seed to seed")
    form.add_argument("--frames", type=whole_number(2, 10**4), metavar="N",
                      help="frames from one seed to the next (default: 24)")
    add("--batch-size", type=whole_number(1, 65536), default=500, metavar="N",
        help="images drawn at a time (default: 500)")
    add("--force", action="store_true", help="overwrite files that exist")
    return parser


def parse():
    """Parse and check the command line."""
    options = make_parser().parse_args()
    check_combination(options)
    options.truncation = 1.0 if options.truncation is None else options.truncation
    options.frames = options.frames or 24
    return options


def check_combination(options):
    """Refuse options that contradict each other."""
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
    if options.interpolate and len(options.interpolate) < 2:
        raise UserError("--interpolate: expected at least two seeds, got: one")
    if options.frames and not options.interpolate:
        raise UserError("--frames: expected --interpolate with it, got: no --interpolate")


def choose_seeds(options, points):
    """Set `options.seeds` where only a count was given, or nothing."""
    places = options.grid[0] * options.grid[1] if options.grid else POINTS if points else IMAGES
    if options.seeds is None:
        first = options.seed or 0
        options.seeds = range(first, first + (options.num_images or places))
    if options.grid and len(options.seeds) > places:
        raise UserError(f"--grid: expected room for {len(options.seeds)} images, "
                        f"got: {options.grid[0]}x{options.grid[1]}")


def choose_form(options, points):
    """Return the function that writes the form asked for, and the names it writes.

    Args:
        options: the parsed command line.
        points: whether the generator draws points rather than images.
    """
    for name in ("grid", "interpolate") if points else ("csv",):
        if getattr(options, name):
            kinds = ("images", "points") if points else ("points", "images")
            raise UserError(f"--{name}: expected a generator of {kinds[0]}, "
                            f"got one of {kinds[1]}: {options.model}")
    if points:
        if options.csv:
            return write_csv, ["points.csv"]
        return (write_npz, ["points.npz"]) if options.npz else (write_scatter, ["points.png"])
    if options.interpolate:
        return interpolate, ["interpolation.gif"]
    if options.grid:
        return write_sheet, ["grid.png"]
    if options.npz:
        return write_npz, ["images.npz"]
    # One by one, as there may be a million of them.
    return write_pngs, (image_name(seed) for seed in options.seeds)


def parse_seeds(text):
    """`0,3,8-15` → the list of numbers; a range stays a `range`."""
    parts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first >= MOST_SEEDS:
            raise UserError(f"--seeds: expected numbers and ranges such as 0,3,8-15, got: {text}")
        parts.append(range(first, last + 1))
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > 10**7:
        raise UserError("--seeds: expected at most ten million seeds in a list, got more")
    return [seed for part in parts for seed in part]


def parse_grid(text):
    """`8x8` → (rows, columns)."""
    match = re.fullmatch(r"([1-9]\d{0,3})[xX]([1-9]\d{0,3})", text)
    if not match or int(match[1]) * int(match[2]) > MOST_GRID:
        raise UserError(f"--grid: expected rows x columns such as 8x8, at most {MOST_GRID:,} "
                        f"images, got: {text}")
    return int(match[1]), int(match[2])


def choose_labels(label, class_names, options):
    """Return a function from positions in the list of seeds to class numbers, or None."""
    if label is None:
        return None
    if not class_names:
        raise UserError(f"--label: expected a generator trained with labels, got: {options.model}")
    count = len(options.interpolate or options.seeds)
    if label == "each":
        # Whole blocks of one class, so that a grid shows a class a row.
        block = -(-count // len(class_names))
        return lambda positions: np.minimum(positions // block, len(class_names) - 1)
    names = [name.casefold() for name in class_names]
    if label.casefold() in names:
        number = names.index(label.casefold())
    elif label.isdigit() and int(label) < len(names):
        number = int(label)
    else:
        raise UserError(f"--label: expected one of {', '.join(class_names)} or each, got: {label}")
    return lambda positions: np.full(len(positions), number)


def batches(generator, options, labels):
    """Draw the images or points a batch at a time.

    Yields:
        `(positions, seeds, samples)` with samples as `draw` returns them.
    """
    from tqdm import tqdm

    count = len(options.seeds)
    with tqdm(total=count, unit="img", disable=not sys.stderr.isatty(), leave=False) as bar:
        for start in range(0, count, options.batch_size):
            seeds = np.array(options.seeds[start : start + options.batch_size], np.int64)
            positions = np.arange(start, start + len(seeds))
            chosen = None if labels is None else labels(positions)
            yield positions, seeds, draw(generator, seeds, chosen, options.truncation)
            bar.update(len(seeds))


def draw(generator, seeds, labels, truncation):
    """Draw the images of seeds, uint8 [N, H, W, C], or points, float32 [N, 2]."""
    if truncation == 1:
        return generator.sample(seeds, labels)
    latents, conditions = generator.latents(seeds, labels)
    return generator.images(truncation * latents, conditions)


def write_sheet(generator, options, labels):
    """Write all images as one sheet."""
    from gan.drawing import images

    path = options.outdir / "grid.png"
    drawn = np.concatenate([part for _, _, part in batches(generator, options, labels)])
    images.write_png(path, images.sheet(drawn, options.grid[1]))
    print(f"{path}: {len(drawn)} images, seeds {span(options.seeds)}")


def write_pngs(generator, options, labels):
    """Write each image to its own file."""
    from gan.drawing import images

    for _, seeds, drawn in batches(generator, options, labels):
        for seed, image in zip(seeds, drawn, strict=True):
            images.write_png(options.outdir / image_name(seed), image)
    first, last = image_name(options.seeds[0]), image_name(options.seeds[-1])
    print(f"{options.outdir}: {len(options.seeds)} images, {first} to {last}")


def write_npz(generator, options, labels):
    """Stream all samples to one .npz file; memory holds one batch."""
    from gan.common.archive import write_npz_streamed

    points = len(generator.sample_shape) == 1
    name, kind = ("points", np.float32) if points else ("images", np.uint8)
    path = options.outdir / f"{name}.npz"
    count = len(options.seeds)
    columns = {
        name: (kind, (count, *generator.sample_shape)),
        "seeds": (np.int64, (count,)),
    }
    if labels is not None:
        columns["labels"] = (np.int32, (count,))

    def rows():
        for positions, seeds, drawn in batches(generator, options, labels):
            row = {name: drawn, "seeds": seeds}
            if labels is not None:
                row["labels"] = labels(positions).astype(np.int32)
            yield row

    write_npz_streamed(path, columns, rows())
    print(f"{path}: {count} {name}, seeds {span(options.seeds)}")


def write_csv(generator, options, labels):
    """Stream all points to one .csv file, a line each."""
    from gan.common.files import atomic_file

    path = options.outdir / "points.csv"
    with atomic_file(path) as file:
        file.write(b"seed,x,y\n")
        for _, seeds, drawn in batches(generator, options, labels):
            lines = (f"{seed},{x:.9g},{y:.9g}\n"
                     for seed, (x, y) in zip(seeds, drawn, strict=True))
            file.write("".join(lines).encode())
    print(f"{path}: {len(options.seeds)} points, seeds {span(options.seeds)}")


def write_scatter(generator, options, labels):
    """Write a picture of all points."""
    from gan.drawing import images, plots

    path = options.outdir / "points.png"
    drawn = np.concatenate([part for _, _, part in batches(generator, options, labels)])
    extent = float(max(np.abs(drawn).max() * 1.1, 1e-3))
    images.write_png(path, plots.draw_plane(extent, generated=drawn))
    print(f"{path}: {len(drawn)} points, seeds {span(options.seeds)}")


def interpolate(generator, options, labels):
    """Write a GIF that walks through the seeds and back to the first.

    The latents follow great circles (White 2016, "Sampling Generative
    Networks"): on a straight line between two normal vectors the middle is
    shorter than any vector the generator was trained on. A condition cannot be
    walked; it changes half way.
    """
    from gan.drawing import images
    from gan.drawing.gif import write_gif

    path = options.outdir / "interpolation.gif"
    seeds = np.array(options.interpolate, np.int64)
    chosen = None if labels is None else labels(np.arange(len(seeds)))
    latents, conditions = generator.latents(seeds, chosen)
    latents = latents * options.truncation
    steps = np.arange(options.frames) / options.frames
    factor = max(1, 256 // generator.sample_shape[0])

    def frames():
        for here in range(len(seeds)):
            there = (here + 1) % len(seeds)
            path_latents = np.stack([slerp(latents[here], latents[there], t) for t in steps])
            path_conditions = np.where(steps < 0.5, conditions[here], conditions[there])
            for image in generator.images(path_latents, path_conditions):
                yield images.enlarge(image if image.shape[-1] == 3 else image[..., 0], factor)

    count = len(seeds) * options.frames
    write_gif(path, frames(), [1 / 24] * count)
    print(f"{path}: {count} frames, seeds {span(options.interpolate)} and back")


def slerp(start, end, share):
    """The vector at `share` of the way from start to end, on their great circle."""
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    cosine = np.dot(start, end) / max(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-4:  # (anti)parallel: no one great circle
        return (1 - share) * start + share * end
    weights = np.sin((1 - share) * angle), np.sin(share * angle)
    return (weights[0] * start + weights[1] * end) / np.sin(angle)


def refuse_overwriting(options, names):
    """Raise a `UserError` if one of the files exists and `--force` is not given."""
    if options.force or not options.outdir.exists():
        return
    for name in names:
        if (options.outdir / name).exists():
            raise UserError(f"{options.outdir / name} exists; expected --force to overwrite it, "
                            "or another --outdir")


def image_name(seed):
    """The file name of a seed's image."""
    return f"seed_{seed:06d}.png"


def span(seeds):
    """Seeds in words: `0 to 63`."""
    return f"{seeds[0]} to {seeds[-1]}"


if __name__ == "__main__":
    run_script("generate.py", main)
