"""Latents of given pictures, found through an exported generator.

    python -m gan.project --model run face.png other.jpg

Drawn images that are near to a picture are starts; from these, gradient descent on the latent
makes the pixel error smaller. The condition stays that of the start.
"""

import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan.common.command_line import OptionParser, file, folder, whole_number
from gan.common.errors import UserError, printable, run_script
from gan.common.files import atomic_file, refuse_existing
from gan.data.pictures import read_picture
from gan.data.pixels import premultiplied, slices_of
from gan.data.sample_types import Images, sample_type_of
from gan.drawing.images import image_grid, write_png
from gan.generator import SavedGenerator
from gan.run.folder import claimed

CANDIDATES = 2000  # images drawn
STARTS = 4  # of each picture
AT_ONCE = 32  # pictures, or candidates
LEARNING_RATE = 0.1  # of Adam, falling to 0 along a cosine
HALVINGS = 2  # smaller sizes whose error counts as well: they lead from farther away


def main(argv=None):
    """Project as a command line says (None: the process's own); returns the exit code."""
    options = make_parser().parse_args(argv)
    generator = SavedGenerator(options.model)
    metadata, shape = generator.metadata, generator.sample_shape
    if sample_type_of(shape) is not Images:
        raise UserError("--model: expected a generator of images, got one of points: "
                        f"{options.model}")
    output = Path(options.output)
    if output.suffix.lower() != ".png":
        raise UserError(f"--output: expected a file that ends in .png, got: {output}")
    arrays = output.with_suffix(".npz")
    for path in (output, arrays):
        refuse_existing(path, options.force, "--output")
    pictures = np.stack([read_picture(path, shape) for path in options.pictures])
    latents, conditions = project(generator, pictures, options.steps)
    found = generator.images(latents, generator.condition_vectors(conditions))
    errors = rmse(found / 255, pictures / 255)
    pairs = np.stack([pictures, found], axis=1).reshape(-1, *shape)
    with claimed(output):
        write_png(output, image_grid(pairs, 2 * math.ceil(math.sqrt(len(found) / 2))))
    with claimed(arrays), atomic_file(arrays) as target:
        np.savez_compressed(target, latents=latents, conditions=conditions, errors=errors)
    classes = metadata["conditions"].get("class_of")
    for path, condition, error in zip(options.pictures, conditions, errors, strict=True):
        label = f", class {metadata['class_names'][classes[condition]]}" if classes else ""
        print(f"{printable(path)}: RMSE {255 * error:.1f} of 255{label}")
    print(f"{printable(output)}: each picture beside the nearest image that was found")
    print(f"{printable(arrays)}: the latents, for generate.py --latents")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.project", description="Find the images of an "
                          "exported generator that are nearest to given pictures.")
    add = parser.add_argument
    add("pictures", type=file, nargs="+", metavar="PICTURE", help="pictures to look for")
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="the export, or the run that wrote it (default: exported_model)")
    add("--output", type=file, default="projection.png", metavar="FILE",
        help="pictures side by side; latents go to .npz (default: projection.png)")
    add("--steps", type=whole_number(1, 10**5), default=300, metavar="N",
        help="steps of gradient descent (default: 300)")
    add("--force", action="store_true", help="overwrite files that exist")
    return parser


def project(generator, pictures, steps):
    """Find the latents and conditions whose images are nearest to pictures, uint8 [N, H, W, C].

    Returns float32 [N, latent_dim] and int32 [N], for `generator`, a `SavedGenerator`.
    """
    pictures = pictures / np.float32(255)
    latents, conditions = generator.latents(range(CANDIDATES))
    drawn = (generator.sample(range(CANDIDATES)[part]) for part in slices_of(latents, AT_ONCE))
    errors = np.concatenate([[rmse(images / np.float32(255), picture) for picture in pictures]
                             for images in drawn], axis=1)
    starts = errors.argsort(axis=1)[:, :STARTS]
    parts = tqdm(list(slices_of(pictures, AT_ONCE)), desc="projecting", unit="part", leave=False,
                 disable=None)
    found = [_descend(generator, latents[starts[part]], conditions[starts[part]], pictures[part],
                      steps) for part in parts]
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def rmse(images, others):
    """Return the root of the mean squared difference of each image, [N]."""
    differences = premultiplied(images) - premultiplied(others)
    return np.sqrt(np.square(differences).mean(axis=(1, 2, 3)))


def _descend(generator, starts, conditions, pictures, steps):
    """Move latents, float32 [N, K, D], toward N pictures; returns the best of K each."""
    import keras
    import tensorflow as tf

    serve = generator.signatures["serving_default"]
    latents = tf.Variable(starts.reshape(-1, starts.shape[-1]))
    given = {"latents": latents, "conditions": tf.constant(conditions.ravel())}
    given = {name: given[name] for name in serve.structured_input_signature[1]}
    wanted = _sizes(tf.repeat(pictures, starts.shape[1], axis=0))
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build([latents])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            drawn = _sizes(serve(**given)["images"])
            loss = tf.add_n([tf.reduce_sum(tf.reduce_mean((one - other) ** 2, axis=(1, 2, 3)))
                             for one, other in zip(drawn, wanted, strict=True)])
        optimizer.apply([tape.gradient(loss, latents)], [latents])

    for _ in range(steps):
        step()
    errors = rmse(serve(**given)["images"].numpy(), np.repeat(pictures, starts.shape[1], axis=0))
    best = errors.reshape(conditions.shape).argmin(axis=1)
    rows = np.arange(len(pictures))
    return latents.numpy().reshape(starts.shape)[rows, best], conditions[rows, best]


def _sizes(images):
    """Return images, float32 [N, H, W, C] in [0, 1], premultiplied: whole, halved once, twice."""
    import tensorflow as tf

    sizes = [Images.to_floats(255 * images)]
    for _ in range(HALVINGS):
        sizes.append(tf.nn.avg_pool2d(sizes[-1], 2, 2, "SAME"))
    return sizes


if __name__ == "__main__":
    run_script("gan.project", main)
