"""What a seed stands for: its latent vector and its condition.

Every random number is a pure function of (seed, stream), so a seed names one
image whatever else is in the batch. The generator algorithm is named because
the default differs between devices.
"""

import tensorflow as tf

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


def conditions_from_seeds(seeds, shares):
    """Draw one condition per seed, each with its share.

    Args:
        seeds: int64 [N].
        shares: [K] or [N, K], non-negative weights of the conditions, for all
            seeds or for each its own; they need not sum to 1.

    Returns:
        int32 [N] in [0, K); entry i depends on seeds[i] and its shares alone.
    """
    def draw(seed):
        return tf.random.stateless_uniform(
            [], _stream(seed, CONDITION), dtype=tf.float64, alg=ALGORITHM
        )

    uniform = tf.map_fn(draw, seeds, fn_output_signature=tf.float64)
    cumulative = tf.cumsum(tf.cast(shares, tf.float64), axis=-1)
    # Strictly below the total, so that a condition of share 0 is never drawn.
    thresholds = uniform[:, None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(cumulative <= thresholds, tf.int32), axis=-1)


def _stream(seed, stream):
    return tf.stack([seed, tf.constant(stream, tf.int64)])
