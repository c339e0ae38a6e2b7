"""The generator as a SavedModel that needs nothing but TensorFlow.

Named signatures, all with named arguments and a dict of results:

- `serving_default`: `latents` float32 [N, latent_dim] (and `conditions` int32
  [N] if there are several) → `images` float32 [N, H, W, C] in [0, 1], or
  `points` float32 [N, 2];
- `latents`: `seeds` int64 [N] → `latents`, `conditions` as `sample` uses them;
- `sample`: `seeds` int64 [N] → `images` uint8 [N, H, W, C], or `points` float32 [N, 2];
- `sample_labels` and `latents_labels`, with labelled data: the same for `seeds`
  and `labels` int32 [N];
- `codes`, if there are several conditions: `conditions` int32 [N] → `codes`
  float32 [N, W], and `images_from_codes`: `latents`, `codes` → `images` float32,
  for codes between those of two conditions.
"""

import json

import keras
import tensorflow as tf

from gan import __version__, models
from gan.common.errors import UserError
from gan.common.files import atomic_folder, write_text
from gan.metadata import METADATA, checksums
from gan.sampling import conditions_from_seeds, latents_from_seeds


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
        if conditioning.class_of is not None:
            about = about | {"classes": sorted(set(map(int, conditioning.class_of)))}
        text = json.dumps({"version": __version__, "endpoints": list(endpoints), **about,
                           "sha256": checksums(temporary)}, indent=2)
        write_text(temporary / METADATA, text + "\n")


def _endpoints(generator, conditioning, latent_dim):
    """Return dict of name → (function, its input signature)."""
    codes = tf.constant(conditioning.codes)

    def codes_of(conditions):
        return {"codes": tf.gather(codes, conditions)}

    def images_from_codes(latents, codes):
        inputs = models.generator_inputs(latents, codes)
        # The generator's tanh is in [-1, 1].
        return {"images": generator(inputs, training=False) * 0.5 + 0.5}

    def images_of(latents, conditions):
        return images_from_codes(latents, **codes_of(conditions))

    def points_of(latents):
        return {"points": generator(latents, training=False)}

    def shades(latents, conditions):
        images = images_of(latents, conditions)["images"]
        return {"images": tf.cast(tf.round(images * 255), tf.uint8)}

    def latents(seeds):
        return {"latents": latents_from_seeds(seeds, latent_dim),
                "conditions": conditions_from_seeds(seeds, conditioning.shares)}

    def sample(seeds):
        return shades(**latents(seeds))

    def latents_labels(seeds, labels):
        of_class = tf.equal(labels[:, None], conditioning.class_of[None])
        shares = conditioning.shares * tf.cast(of_class, tf.float32)
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
    if conditioning.count > 1:
        a_code = tf.TensorSpec([None, codes.shape[1]], tf.float32, name="codes")
        endpoints["codes"] = (codes_of, [a_condition])
        endpoints["images_from_codes"] = (images_from_codes, [a_latent, a_code])
    if conditioning.class_of is not None:
        endpoints["latents_labels"] = (latents_labels, [a_seed, a_label])
        endpoints["sample_labels"] = (sample_labels, [a_seed, a_label])
    return endpoints
