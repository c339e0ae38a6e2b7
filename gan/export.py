"""The generator as a SavedModel that is used without any of this code.

Signatures: `serving_default` (latents, conditions → images in [0, 1]), `sample` (seeds → uint8),
`sample_labels`, `latents` and `latents_labels` (what these draw), `condition_vectors`, and
`images_from_vectors`, for vectors between two conditions. Simulated data: points [N, 2].
"""

import json
import os

import keras
import numpy as np
import tensorflow as tf

from gan import __version__
from gan.common.errors import UserError
from gan.common.files import atomic_folder, write_json
from gan.run.exported import METADATA, checksums


def export_generator(folder, sampler, metadata, claim=lambda path: path):
    """Write the SavedModel of a `Sampler`, whole or not at all, with `metadata` in its gan.json.

    Each file is passed to `claim` before it is there.
    """
    archive = keras.export.ExportArchive()
    for name, (function, signature) in _endpoints(sampler, metadata["latent_dim"]).items():
        archive.add_endpoint(name, function, input_signature=signature)
    conditions = {"probabilities": sampler.conditioning.probabilities.tolist()}
    if sampler.conditioning.class_of is not None:
        conditions["class_of"] = sampler.conditioning.class_of.tolist()
    # The path of the data and of the run are no one else's business.
    config = {name: value for name, value in metadata["config"].items() if name != "outdir"}
    for name in ("dataset", "init_from"):
        config[name] = os.path.basename(os.path.abspath(config.get(name, "none")))
    with atomic_folder(folder) as temporary:
        try:
            archive.write_out(str(temporary), verbose=False)
        except tf.errors.OpError as error:  # TensorFlow's own file system layer
            raise UserError(f"cannot write {folder}: {error.message}") from error
        write_json(temporary / METADATA, {
            "version": __version__, **metadata, "config": config, "conditions": conditions,
            "classes": sorted(set(conditions.get("class_of", []))),  # that there are images of
            "sha256": checksums(temporary)})
        for path in temporary.rglob("*"):
            if path.is_file():
                claim(folder / path.relative_to(temporary))


def add_metadata(folder, metadata):
    """Add entries to the `gan.json` of an export."""
    known = json.loads((folder / METADATA).read_text())
    write_json(folder / METADATA, {**known, **metadata})


def _endpoints(sampler, latent_dim):
    """Return dict of name → (function, its input signature)."""
    kind, conditioning = sampler.kind, sampler.conditioning

    def serve(latents, conditions=None):
        if conditions is None:  # there is only one
            conditions = tf.zeros([tf.shape(latents)[0]], tf.int32)
        else:
            conditions = _known(conditions, np.arange(conditioning.count),
                                f"conditions: expected those below {conditioning.count:,}:")
        return {kind.name: kind.to_served(sampler.generate(latents, conditions))}

    def condition_vectors(conditions):
        return {"vectors": tf.gather(sampler.vectors, conditions)}

    def images_from_vectors(latents, vectors):
        return {kind.name: kind.to_served(sampler.generate_from_vectors(latents, vectors))}

    def latents(seeds, labels=None):
        if labels is not None:
            labels = _known(labels, np.unique(conditioning.class_of),
                            "labels: expected classes of the training data,")
        return dict(zip(("latents", "conditions"), sampler.latents(seeds, labels), strict=True))

    def sample(seeds, labels=None):
        return {kind.name: kind.to_stored(sampler.generate(**latents(seeds, labels)))}

    a_latent = tf.TensorSpec([None, latent_dim], tf.float32, name="latents")
    a_condition = tf.TensorSpec([None], tf.int32, name="conditions")
    a_seed = tf.TensorSpec([None], tf.int64, name="seeds")
    a_label = tf.TensorSpec([None], tf.int32, name="labels")
    served = [a_latent, a_condition] if conditioning.count > 1 else [a_latent]
    endpoints = {"serving_default": (serve, served), "latents": (latents, [a_seed]),
                 "sample": (sample, [a_seed])}
    if conditioning.count > 1:
        a_vector = tf.TensorSpec([None, conditioning.vector_size], tf.float32,
                                 name="vectors")
        endpoints["condition_vectors"] = (condition_vectors, [a_condition])
        endpoints["images_from_vectors"] = (images_from_vectors, [a_latent, a_vector])
    if conditioning.class_of is not None:
        endpoints["latents_labels"] = (latents, [a_seed, a_label])
        endpoints["sample_labels"] = (sample, [a_seed, a_label])
    return endpoints


def _known(values, known, expected):
    """Pass on values, int32 [N], in a graph that stops at others than the known ones."""
    known = tf.constant(known, tf.int32)
    fine = tf.reduce_all(tf.reduce_any(values[:, None] == known, axis=1))
    with tf.control_dependencies([tf.debugging.Assert(fine, [expected, known, "got:", values])]):
        return tf.identity(values)
