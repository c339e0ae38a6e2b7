"""The forms in which generated samples are written: PNG files, a sheet, arrays, a table, a GIF.

Each function draws what a `Request` asks for from a `SavedGenerator`, writes it
and says so in one line. Memory holds one batch, or the one picture.
"""

import sys

import numpy as np
from tqdm import tqdm

from gan.common.archive import write_npz_streamed
from gan.common.errors import printable
from gan.common.files import atomic_file
from gan.drawing import images
from gan.drawing.animations import write_animation
from gan.kinds import kind_of
from gan.walk import walk

FRAMES_A_SECOND = 24
GIF_SIDE = 256  # pixels that small images are enlarged towards


def write_pngs(folder, generator, request):
    """Write each image to its own file."""
    for start, drawn in batches(generator, request):
        for position, image in enumerate(drawn, start):
            images.write_png(folder / request.image_name(position), image)
    last = len(request.seeds) - 1
    _say(folder, f"{last + 1} images, {request.image_name(0)} to {request.image_name(last)}")


def write_sheet(path, columns, generator, request):
    """Write all images as one sheet with so many columns."""
    drawn = np.concatenate([part for _, part in batches(generator, request)])
    images.write_png(path, images.image_grid(drawn, columns))
    _say(path, f"{len(drawn)} images, {_span(request.seeds)}")


def write_npz(path, generator, request):
    """Stream all samples to one .npz file."""
    kind = kind_of(generator.sample_shape)
    name = kind.name
    count = len(request.seeds)
    columns = {name: (kind.dtype, (count, *generator.sample_shape)), "seeds": (np.int64, (count,))}
    if request.classes:
        columns["labels"] = (np.int32, (count,))

    def rows():
        for start, drawn in batches(generator, request):
            stop = start + len(drawn)
            row = {name: drawn, "seeds": request.seeds[start:stop]}
            if request.classes:
                row["labels"] = request.labels(start, stop)
            yield row

    write_npz_streamed(path, columns, rows())
    _say(path, f"{count} {name}, {_span(request.seeds)}")


def write_csv(path, generator, request):
    """Stream all points to one .csv file, a line each."""
    with atomic_file(path) as file:
        file.write(b"seed,x,y\n")
        for start, drawn in batches(generator, request):
            seeds = request.seeds[start : start + len(drawn)]
            lines = (f"{seed},{x:.9g},{y:.9g}\n"
                     for seed, (x, y) in zip(seeds, drawn, strict=True))
            file.write("".join(lines).encode())
    _say(path, f"{len(request.seeds)} points, {_span(request.seeds)}")


def write_scatter(path, generator, request):
    """Write a picture of all points, on the axes of the training pictures."""
    from gan.drawing import plots  # here, as matplotlib is slow to import

    drawn = np.concatenate([part for _, part in batches(generator, request)])
    extent = generator.metadata.get("extent")  # exports of version 1.0 do not tell
    extent = extent or float(max(np.abs(drawn).max() * 1.1, 1e-3))
    images.write_png(path, plots.scatter_plot(extent, generated=drawn))
    _say(path, f"{len(drawn)} points, {_span(request.seeds)}")


def write_walk(path, frames, generator, request):
    """Write a GIF that walks through the seeds and back to the first.

    Args:
        path: the file.
        frames: images from one seed to the next.
        generator, request: as for the other forms.
    """
    seeds = list(request.seeds)
    labels = request.labels(0, len(seeds))
    factor = max(1, GIF_SIDE // generator.sample_shape[0])
    count = len(seeds) * frames
    drawn = walk(generator, seeds, labels, request.truncation, frames, request.batch_size)
    with _bar(count, "frame") as bar:
        def enlarged():
            for image in drawn:
                yield images.enlarge(image if image.shape[-1] == 3 else image[..., 0], factor)
                bar.update()

        write_animation(path, enlarged(), [1 / FRAMES_A_SECOND] * count)
    _say(path, f"{count} frames, {_span(seeds)} and back")


def batches(generator, request):
    """Draw the images or points a batch at a time.

    Yields:
        `(start, samples)`: the position of the first sample, and uint8 [N, H, W, C]
        of images or float32 [N, 2] of points.
    """
    count = len(request.seeds)
    with _bar(count, kind_of(generator.sample_shape).unit) as bar:
        for start in range(0, count, request.batch_size):
            stop = min(start + request.batch_size, count)
            seeds = np.array(request.seeds[start:stop], np.int64)
            yield start, _draw(generator, seeds, request.labels(start, stop), request.truncation)
            bar.update(len(seeds))


def _draw(generator, seeds, labels, truncation):
    if truncation == 1:
        return generator.sample(seeds, labels)
    latents, conditions = generator.latents(seeds, labels)
    return generator.images(truncation * latents, conditions)


def _bar(count, unit):
    return tqdm(total=count, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def _say(path, what):
    print(f"{printable(path)}: {what}")


def _span(seeds):
    return f"seeds {seeds[0]} to {seeds[-1]}"
