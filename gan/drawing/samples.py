"""Files of generated samples: pictures, a grid, a plot, arrays, or an animation."""

import dataclasses
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan.common.errors import counted, listed
from gan.common.files import atomic_file
from gan.data.pixels import slices_of
from gan.data.points import box_of
from gan.data.sample_types import sample_type_of
from gan.drawing.animations import resized, with_text, write_animation
from gan.drawing.images import image_grid, tile, write_png

# Pixels that small images are enlarged towards in an animation, a single one and several.
FRAME_SIDE, FRAME_SIDE_OF_SEVERAL = 256, 512
VALUES = 2**23  # of the images drawn at a time


@dataclasses.dataclass
class Wanted:
    """What is to be drawn: a sample of each seed, the classes in blocks of equal size."""

    seeds: Sequence
    classes: list | None = None  # class numbers
    truncation: float = 1.0
    batch_size: int = 500  # at most; fewer of large images

    def label(self, place):
        """Return the class number of a sample, or None."""
        return self.classes and self.classes[place * len(self.classes) // len(self.seeds)]

    def labels(self, part=slice(None)):
        """Return the class numbers of a part of the samples, or None."""
        return self.classes and [self.label(place) for place in range(len(self.seeds))[part]]

    def draw(self, generator):
        """Yield the samples of a batch at a time."""
        parts = list(slices_of(self.seeds, self.batch_size, VALUES, generator.sample_shape))
        for part in tqdm(parts, unit="batch", disable=None, leave=False):
            seeds = np.array(self.seeds[part], np.int64)
            yield generator.sample(seeds, self.labels(part), self.truncation)

    def all(self, generator):
        """Draw all samples: one array."""
        return np.concatenate([*self.draw(generator)])


def picture_paths(outdir, wanted, class_names, folders):
    """Yield the path of each image: seed_000003.png, with its class in the name or as a folder."""
    stems = {None: ""}  # class number → name that a file may have, different for each
    for number in wanted.classes or ():
        stem = re.sub(r"[^\w.-]+", "_", class_names[number]).strip("._-")[:40]
        taken = stem.casefold() in {other.casefold() for other in stems.values()}
        stems[number] = f"{stem}_{number}".strip("_") if taken else stem
    for place, seed in enumerate(wanted.seeds):
        name, stem = f"seed_{seed:06d}", stems[wanted.label(place)]
        if folders:
            yield Path(outdir, stem, f"{name}.png")
        else:
            yield Path(outdir, f"{name}_class_{stem}.png" if stem else f"{name}.png")


# --- Each writes what is wanted.


def write_pictures(outdir, wanted, generator, folders=False):
    """Write each image to a file of its own; with `folders` in one folder a class."""
    paths = picture_paths(outdir, wanted, generator.class_names, folders)
    for images in wanted.draw(generator):
        for image, path in zip(images, paths, strict=False):  # of which there are more
            write_png(path, image)


def write_grid(path, wanted, generator, columns=None):
    """Write a grid of all images."""
    write_png(path, image_grid(wanted.all(generator), columns))


def write_plot(path, wanted, generator):
    """Write a plot of all points, on the axes of the training pictures."""
    from gan.drawing.plots import point_plot  # here, as matplotlib is slow to import

    write_png(path, point_plot(box_of(generator.metadata), generated=wanted.all(generator)))


def write_npz(path, wanted, generator):
    """Stream all samples to one file: `images` or `points`, `seeds`, and `labels` if asked for."""
    kind, count = sample_type_of(generator.sample_shape), len(wanted.seeds)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind.dtype)),
              "fortran_order": False, "shape": (count, *generator.sample_shape)}
    others = {"seeds": np.array(wanted.seeds, np.int64)}
    if wanted.classes:
        others["labels"] = np.array(wanted.labels(), np.int32)
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open(f"{kind.name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for samples in wanted.draw(generator):
                member.write(samples.tobytes())
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def write_csv(path, wanted, generator):
    """Stream all points to one file, a line each."""
    seeds = iter(wanted.seeds)
    with atomic_file(path) as file:
        file.write(",".join(["seed", "x", "y"][: 1 + generator.sample_shape[0]]).encode() + b"\n")
        for points in wanted.draw(generator):
            for point, seed in zip(points, seeds, strict=False):
                file.write(",".join([str(seed), *(f"{x:.9g}" for x in point)]).encode() + b"\n")


def write_interpolation(path, wanted, generator, *, grid=None, frames=24, fps=24, hold=0,
                        scale=None, caption=False):
    """Write an animation from seed to seed and back to the first, with equal parts in each cell.

    The grid is (rows, columns); `frames` lead from a seed to the next, where it holds for some
    seconds.
    """
    rows, columns = grid or (1, 1)
    cells, single = rows * columns, grid is None
    count = len(wanted.seeds) // cells * frames
    side = FRAME_SIDE if single else FRAME_SIDE_OF_SEVERAL
    names = [str(seed) for seed in wanted.seeds]
    if wanted.classes:
        names = [f"{name} ({generator.class_names[label]})"
                 for name, label in zip(names, wanted.labels(), strict=True)]

    def drawn():
        parts = interpolate(generator, wanted, frames, cells)
        bar = tqdm(parts, total=count, unit="frame", disable=None, leave=False)
        for number, images in enumerate(bar):
            frame = images[0] if single else tile(images, columns)
            frame = frame[..., 0] if frame.shape[-1] == 1 else frame
            frame = resized(frame, scale or max(1, side // max(frame.shape[:2])))
            here = number // frames
            stops = [here, (here + 1) % (count // frames)][: 1 + bool(number % frames)]
            text = " → ".join(listed(names[stop :: count // frames], most=3) for stop in stops)
            yield with_text(frame, caption=f"seed{'s' * (cells > 1)} {text}" if caption else "")

    durations = [1 / fps + hold * (number % frames == 0) for number in range(count)]
    write_animation(path, drawn(), durations)
    return counted(count, "frame")


def interpolate(generator, wanted, frames, cells=1):
    """Draw closed paths through the latents of equal parts of the seeds: uint8 [cells, H, W, C].

    The latents follow great circles (White 2016, "Sampling Generative Networks"): halfway on a
    straight line between two normal vectors is a shorter one than the generator was trained on.
    Condition vectors are interpolated linearly.
    """
    latents, conditions = generator.latents(wanted.seeds, wanted.labels())
    latents, vectors = wanted.truncation * latents, generator.condition_vectors(conditions)
    stops = len(wanted.seeds) // cells
    first = np.arange(cells) * stops  # seeds of the cells
    places = np.arange(stops * frames)
    for part in slices_of(places, max(1, wanted.batch_size // cells), VALUES,
                          (cells, *generator.sample_shape)):
        stop, step = np.divmod(places[part], frames)
        here = (stop[:, None] + first).ravel()
        there = ((stop[:, None] + 1) % stops + first).ravel()
        t, between = np.repeat(step / frames, cells).astype(np.float32), None
        if vectors is not None:
            between = (1 - t[:, None]) * vectors[here] + t[:, None] * vectors[there]
        images = generator.images(slerp(latents[here], latents[there], t), between)
        yield from images.reshape(-1, cells, *images.shape[1:])


def slerp(start, end, t):
    """Spherical linear interpolation (Shoemake 1985) of float [N, D], at t, [N] in [0, 1]."""
    lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
    cosine = (start * end).sum(axis=1) / np.maximum(lengths, 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    straight = np.sin(angle) < 1e-4  # (anti)parallel
    sine = np.where(straight, 1, np.sin(angle))
    weights = (np.where(straight, 1 - t, np.sin((1 - t) * angle) / sine),
               np.where(straight, t, np.sin(t * angle) / sine))
    return weights[0][:, None] * start + weights[1][:, None] * end
