"""The generator as a SavedModel that is used without any of this code.

Signatures, all from N rows to N rows:

- `serving_default`: latents (and conditions, if there are several) → images in [0, 1];
- `sample`: seeds → images uint8; latent and condition are drawn in the graph;
- `sample_labels` (labelled data): seeds, labels → images uint8;
- `latents`, `latents_labels`: the same seeds → the latents and conditions that
  the two above would draw, to be changed and given to `serving_default`;
- `codes`: conditions → the codes that the generator is told them by, and
  `images_from_codes`: latents, codes → images, for codes between two conditions'.

For simulated data the signatures give points, float32 [N, 2], and there are no
conditions. A seed names one image, whatever the batch. The weights are the averaged
generator's, float32 whatever it was trained in.
"""

import json
import os

import keras
import numpy as np
import tensorflow as tf

from gan import __version__
from gan.common.errors import UserError
from gan.common.files import atomic_folder, write_text
from gan.metadata import METADATA, checksums


def export_generator(folder, generator, sampler, metadata):
    """Write the SavedModel, whole or not at all.

    Args:
        folder: where to; an export that lies there is replaced.
        generator: Sequential in float32, see `models.build_generator`.
        sampler: the `Sampler` of it.
        metadata: dict for `assets.extra/gan.json`, with "latent_dim",
            "sample_shape" and "class_names" among others.
    """
    archive = keras.export.ExportArchive()
    endpoints = _endpoints(sampler, metadata["latent_dim"])
    for name, (function, signature) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=signature)
    with atomic_folder(folder) as temporary:
        try:
            archive.write_out(str(temporary), verbose=False)
        except tf.errors.OpError as error:  # TensorFlow's own file system layer
            raise UserError(f"cannot write {folder}: {error.message}") from error
        conditions = {"probabilities": sampler.conditioning.probabilities.tolist()}
        if sampler.conditioning.class_of is not None:  # those that there are images of
            conditions["class_of"] = sampler.conditioning.class_of.tolist()
            metadata = metadata | {"classes": sorted(set(conditions["class_of"]))}
        metadata = metadata | {"conditions": conditions, "config": _portable(metadata["config"])}
        text = json.dumps({"version": __version__, "endpoints": list(endpoints), **metadata,
                           "sha256": checksums(temporary)}, indent=2)
        write_text(temporary / METADATA, text + "\n")


def add_metadata(folder, metadata):
    """Add to the `gan.json` of an export that is there already.

    Args:
        folder: the export.
        metadata: dict, what to add or replace.
    """
    known = json.loads((folder / METADATA).read_text())
    write_text(folder / METADATA, json.dumps({**known, **metadata}, indent=2) + "\n")


def _portable(config):
    """Return a configuration without what only the machine of the run has: its paths."""
    name = os.path.basename(os.path.abspath(config["dataset"]))
    return {option: value for option, value in config.items() if option != "outdir"} | {
        "dataset": name}


def _with_known_classes(class_of, labels):
    """Pass on labels, int32 [N], in a graph; it stops with the classes that there are."""
    classes = tf.constant(np.unique(class_of), tf.int32)
    known = tf.reduce_any(labels[:, None] == classes, axis=1)
    expected = ["labels: expected classes of the training data,", classes, "got:", labels]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(known), expected)]):
        return tf.identity(labels)


def _endpoints(sampler, latent_dim):
    """Return dict of name → (function, its input signature)."""
    kind, conditioning = sampler.kind, sampler.conditioning

    def serve(latents, conditions):
        return {kind.name: kind.to_served(sampler.generate(latents, conditions))}

    def serve_unconditional(latents):
        return serve(latents, tf.zeros([tf.shape(latents)[0]], tf.int32))

    def codes_of(conditions):
        return {"codes": sampler.vectors_of(conditions)}

    def images_from_codes(latents, codes):
        return {kind.name: kind.to_served(sampler.generate_from_vectors(latents, codes))}

    def latents_and_conditions(seeds, labels):
        if labels is not None:
            labels = _with_known_classes(conditioning.class_of, labels)
        return sampler.latents(seeds, labels)

    def sample(seeds, labels=None):
        return {kind.name: kind.to_stored(
            sampler.generate(*latents_and_conditions(seeds, labels)))}

    def latents(seeds, labels=None):
        return dict(zip(("latents", "conditions"), latents_and_conditions(seeds, labels),
                        strict=True))

    a_latent = tf.TensorSpec([None, latent_dim], tf.float32, name="latents")
    a_condition = tf.TensorSpec([None], tf.int32, name="conditions")
    a_seed = tf.TensorSpec([None], tf.int64, name="seeds")
    a_label = tf.TensorSpec([None], tf.int32, name="labels")
    endpoints = {
        "serving_default": (serve, [a_latent, a_condition]) if conditioning.count > 1
        else (serve_unconditional, [a_latent]),
        "latents": (latents, [a_seed]),
        "sample": (sample, [a_seed]),
    }
    if conditioning.count > 1:
        a_code = tf.TensorSpec([None, conditioning.vectors.shape[1]], tf.float32, name="codes")
        endpoints["codes"] = (codes_of, [a_condition])
        endpoints["images_from_codes"] = (images_from_codes, [a_latent, a_code])
    if conditioning.class_of is not None:
        endpoints["latents_labels"] = (latents, [a_seed, a_label])
        endpoints["sample_labels"] = (sample, [a_seed, a_label])
    return endpoints
