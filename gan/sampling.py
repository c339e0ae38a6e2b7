"""What a seed stands for: its latent vector and its condition.

Every random number is a pure function of (seed, stream), so a seed names one
image whatever else is in the batch. The generator algorithm is named because
the default differs between devices.
"""

import numpy as np
import tensorflow as tf

from gan.data.class_rows import class_rows
from gan.kinds import kind_of
from gan.models import generator_inputs

ALGORITHM = "philox"
LATENT, CONDITION = 0, 1  # the streams of a seed


def latents_from_seeds(seeds, latent_dim):
    """Return one standard normal vector per seed.

    Args:
        seeds: int64 [N].
        latent_dim: length of a vector.

    Returns:
        float32 [N, latent_dim]; row i depends on seeds[i] alone.
    """
    def draw(seed):
        return tf.random.stateless_normal([latent_dim], _stream(seed, LATENT), alg=ALGORITHM)

    return tf.map_fn(draw, seeds, fn_output_signature=tf.float32)


def conditions_from_seeds(seeds, probabilities):
    """Draw one condition per seed.

    Args:
        seeds: int64 [N].
        probabilities: [K] or [N, K], of the conditions, for all seeds or for
            each its own; not negative, they need not sum to 1.

    Returns:
        int32 [N] in [0, K); entry i depends on seeds[i] and its probabilities alone.
    """
    def draw(seed):
        return tf.random.stateless_uniform(
            [], _stream(seed, CONDITION), dtype=tf.float64, alg=ALGORITHM
        )

    uniform = tf.map_fn(draw, seeds, fn_output_signature=tf.float64)
    cumulative = tf.cumsum(tf.cast(probabilities, tf.float64), axis=-1)
    # Strictly below the total, so that a condition of probability 0 is never drawn.
    thresholds = uniform[:, None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(cumulative <= thresholds, tf.int32), axis=-1)


def _stream(seed, stream):
    return tf.stack([seed, tf.constant(stream, tf.int64)])


class Sampler:
    """What seeds and conditions become: the samples of the EMA generator.

    The epoch pictures, the metrics and the exported model all draw through it.

    Attributes:
        conditioning: `Conditioning` of the training samples.
        kind: of the samples, see `gan.kinds`.
    """

    def __init__(self, generator, conditioning, latent_dim):
        """
        Args:
            generator: Sequential in float32, see `models.build_generator`.
            conditioning: the `Conditioning` it was trained with.
            latent_dim: length of a latent vector.
        """
        self.conditioning, self.kind = conditioning, kind_of(generator.output_shape[1:])
        self._codes = tf.constant(conditioning.vectors)
        # Traced once for all that draw through them, the export's signatures among them.
        self._network = tf.function(
            lambda inputs: generator(inputs, training=False), autograph=False,
            input_signature=[tf.TensorSpec([None, generator.input_shape[1]], tf.float32)])
        self._latents = tf.function(
            lambda seeds: latents_from_seeds(seeds, latent_dim), autograph=False,
            input_signature=[tf.TensorSpec([None], tf.int64)])
        self._conditions = tf.function(conditions_from_seeds, autograph=False,
                                       reduce_retracing=True)
        self.sample = tf.function(self._sample, autograph=False, reduce_retracing=True)
        self.draw = tf.function(self._draw, autograph=False, reduce_retracing=True)

    def generate(self, latents, conditions):
        """Return float32 [N, H, W, C] in [-1, 1], or [N, 2], in a graph.

        Args:
            latents: float32 [N, latent_dim].
            conditions: int32 [N] in [0, K).
        """
        return self.generate_from_codes(latents, self.codes_of(conditions))

    def generate_from_codes(self, latents, codes):
        """Return the same for codes that need be no condition's, float32 [N, W]."""
        return self._network(generator_inputs(latents, codes))

    def codes_of(self, conditions):
        """Return the codes of conditions, in a graph: int32 [N] → float32 [N, W]."""
        return tf.gather(self._codes, conditions)

    def latents(self, seeds, labels=None):
        """Return the latent and the condition of each seed, in a graph.

        Args:
            seeds: int64 [N].
            labels: int32 [N], the class of each; None: as frequent as in the data.

        Returns:
            `(latents, conditions)`: float32 [N, latent_dim] and int32 [N].
        """
        probabilities = tf.constant(self.conditioning.probabilities)
        if labels is not None:
            of_class = tf.equal(labels[:, None], self.conditioning.class_of[None])
            probabilities = probabilities * tf.cast(of_class, tf.float32)
        return self._latents(seeds), self._conditions(seeds, probabilities)

    def _sample(self, seeds, conditions):
        """Draw float32 [N, H, W, C] in [-1, 1], or [N, 2]: int64 seeds, int32 conditions [N]."""
        return self.generate(self._latents(seeds), conditions)

    def _draw(self, seeds):
        """Draw what the export's `sample` draws: int64 [N] → uint8 [N, H, W, C] or points."""
        return self.kind.to_stored(self.generate(*self.latents(seeds)))

    def picture_samples(self, count):
        """Choose the fixed samples of the epoch pictures.

        Args:
            count: number of samples wanted.

        Returns:
            `(seeds, conditions)`, int64 and int32 [count]. With labels, class by
            class, see `class_rows`.
        """
        seeds = np.arange(count, dtype=np.int64)
        classes, probabilities = self.conditioning.class_of, self.conditioning.probabilities
        if classes is not None:
            rows = class_rows(classes, count)
            probabilities = probabilities * (rows[:, None] == classes)
        return seeds, self._conditions(tf.constant(seeds), tf.constant(probabilities)).numpy()
