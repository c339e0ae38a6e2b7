"""Samples of the generator as functions of seeds: seed → latent and condition → sample."""

import tensorflow as tf

from gan.data.datasets import class_rows
from gan.data.sample_types import sample_type_of
from gan.models import generator_inputs

ALGORITHM = "philox"  # of random numbers, named as the default differs between devices
SPREAD = 0xB7E151628AED2A6B - 2**64  # e modulo 1, in units of 2^-64; as int64


def latents_from_seeds(seeds, latent_dim):
    """Return one standard normal vector per seed: int64 [N] → float32 [N, latent_dim]."""
    def draw(seed):
        pair = tf.stack([seed, tf.zeros_like(seed)])
        return tf.random.stateless_normal([latent_dim], pair, alg=ALGORITHM)

    return tf.map_fn(draw, seeds, fn_output_signature=tf.float32)


def conditions_from_seeds(seeds, probabilities):
    """Return one cluster label per seed: int64 [N] → int32 [N] in [0, K).

    The probabilities, [K] or [N, K], are not negative; they need not sum to 1. Consecutive seeds
    have each label almost exactly as often as these say, because the multiples of an irrational
    number are evenly spread modulo 1 (Weyl 1916).
    """
    # The product wraps around. Its upper 52 bits leave every threshold below the total.
    places = tf.cast(tf.bitwise.right_shift(seeds * SPREAD, 12), tf.float64) / 2**52 + 0.5
    cumulative = tf.cumsum(tf.cast(probabilities, tf.float64), axis=-1)
    # Strictly below the total, so that a condition of probability 0 never occurs.
    thresholds = places[:, None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(cumulative <= thresholds, tf.int32), axis=-1)


class Sampler:
    """The EMA generator as a function of seeds and conditions: what all draw through."""

    def __init__(self, generator, conditioning, latent_dim):
        self.conditioning, self.kind = conditioning, sample_type_of(generator.output_shape[1:])
        self.vectors, self._latent_dim = tf.constant(conditioning.vectors), latent_dim
        # Traced once for all that draw through it, the export's signatures among them.
        self._network = tf.function(
            lambda inputs: generator(inputs, training=False), autograph=False,
            input_signature=[tf.TensorSpec([None, generator.input_shape[1]], tf.float32)])
        # int64 seeds → what the export's `sample` draws: uint8 [N, H, W, C] or points.
        self.draw = tf.function(
            lambda seeds: self.kind.to_stored(self.generate(*self.latents(seeds))),
            autograph=False, reduce_retracing=True)

    def generate(self, latents, conditions):
        """Generate samples of cluster labels, int32 [N]; see `generate_from_vectors`."""
        return self.generate_from_vectors(latents, tf.gather(self.vectors, conditions))

    def generate_from_vectors(self, latents, vectors):
        """Generate samples of latents and vectors: float32 [N, H, W, C] in [-1, 1] or [N, 2]."""
        return self._network(generator_inputs(latents, vectors))

    @tf.function(autograph=False, reduce_retracing=True)
    def latents(self, seeds, labels=None):
        """Return latents and conditions of int64 seeds, of given labels, int32 [N], if any."""
        probabilities = tf.constant(self.conditioning.probabilities)
        if labels is not None:
            of_class = tf.equal(labels[:, None], self.conditioning.class_of[None])
            probabilities = probabilities * tf.cast(of_class, tf.float32)
        return (latents_from_seeds(seeds, self._latent_dim),
                conditions_from_seeds(seeds, probabilities))

    def picture_latents(self, count):
        """Return latents and conditions of a sample grid; with labels class by class."""
        classes = self.conditioning.class_of
        labels = None if classes is None else class_rows(classes, count)
        return self.latents(tf.range(count, dtype=tf.int64), labels)
