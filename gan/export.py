"""The generator as a SavedModel that needs nothing but TensorFlow.

Named signatures, all with named arguments and a dict of results:

- `serving_default`: `latents` float32 [N, latent_dim] (and `conditions` int32
  [N] if there are several) → `images` float32 [N, H, W, C] in [0, 1], or
  `points` float32 [N, 2];
- `latents`: `seeds` int64 [N] → `latents`, `conditions` as `sample` uses them;
- `sample`: `seeds` int64 [N] → `images` uint8 [N, H, W, C], or `points` float32 [N, 2];
- `sample_labels` and `latents_labels`, with labelled data: the same for `seeds`
  and `labels` int32 [N].
"""

import json

import keras
import tensorflow as tf

from gan import __version__, models
from gan.common.errors import UserError
from gan.common.files import atomic_folder, write_text
from gan.sampling import conditions_from_seeds, latents_from_seeds
from gan.saved_generator import ABOUT, checksums


def export_generator(folder, generator, conditioning, about):
    """Write the SavedModel, whole or not at all.

    Args:
        folder: where to; an export that lies there is replaced.
        generator: Sequential in float32, see `models.build_generator`.
        conditioning: the `Conditioning` it was trained with.
        about: dict for `assets.extra/gan.json`, with "latent_dim",
            "sample_shape" and "class_names" among others.
    """
    archive = keras.export.ExportArchive()
    archive.track(generator)
    endpoints = _endpoints(generator, conditioning, about["latent_dim"])
    for name, (function, signature) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=signature)
    with atomic_folder(folder) as temporary:
        try:
            archive.write_out(str(temporary), verbose=False)
        except tf.errors.OpError as error:  # TensorFlow's own file system layer
            raise UserError(f"cannot write {folder}: {error.message}") from error
        text = json.dumps({"version": __version__, "endpoints": list(endpoints), **about,
                           "sha256": checksums(temporary)}, indent=2)
        write_text(temporary / ABOUT, text + "\n")


def _endpoints(generator, conditioning, latent_dim):
    """Return dict of name → (function, its input signature)."""
    codes = tf.constant(conditioning.codes)

    def images_of(latents, conditions):
        inputs = models.generator_inputs(latents, tf.gather(codes, conditions))
        # The generator's tanh is in [-1, 1].
        return {"images": generator(inputs, training=False) * 0.5 + 0.5}

    def points_of(latents):
        return {"points": generator(latents, training=False)}

    def shades(latents, conditions):
        images = images_of(latents, conditions)["images"]
        return {"images": tf.cast(tf.round(images * 255), tf.uint8)}

    def latents(seeds):
        return {"latents": latents_from_seeds(seeds, latent_dim),
                "conditions": conditions_from_seeds(seeds, conditioning.probabilities)}

    def sample(seeds):
        return shades(**latents(seeds))

    def latents_labels(seeds, labels):
        of_class = tf.equal(labels[:, None], conditioning.class_of[None])
        shares = conditioning.probabilities * tf.cast(of_class, tf.float32)
        return {"latents": latents_from_seeds(seeds, latent_dim),
                "conditions": conditions_from_seeds(seeds, shares)}

    def sample_labels(seeds, labels):
        return shades(**latents_labels(seeds, labels))

    def unconditional(latents):
        return images_of(latents, tf.zeros([tf.shape(latents)[0]], tf.int32))

    a_latent = tf.TensorSpec([None, latent_dim], tf.float32, name="latents")
    a_condition = tf.TensorSpec([None], tf.int32, name="conditions")
    a_seed = tf.TensorSpec([None], tf.int64, name="seeds")
    a_label = tf.TensorSpec([None], tf.int32, name="labels")
    if len(generator.output_shape) == 2:
        return {
            "serving_default": (points_of, [a_latent]),
            "latents": (latents, [a_seed]),
            "sample": (lambda seeds: points_of(latents_from_seeds(seeds, latent_dim)), [a_seed]),
        }
    endpoints = {
        "serving_default": (images_of, [a_latent, a_condition]) if conditioning.count > 1
        else (unconditional, [a_latent]),
        "latents": (latents, [a_seed]),
        "sample": (sample, [a_seed]),
    }
    if conditioning.class_of is not None:
        endpoints["latents_labels"] = (latents_labels, [a_seed, a_label])
        endpoints["sample_labels"] = (sample_labels, [a_seed, a_label])
    return endpoints
