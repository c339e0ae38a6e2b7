"""What changes over a run: the rates, and in a burn-in also the penalty and Adam's memory.

R3GAN (Huang et al. 2024, appendix) begins with high rates, a strong penalty and
a short memory, while the generated images are still far from the real ones, and
lets all three reach their lasting values on a cosine.
"""

import math

import keras
import tensorflow as tf

# What a value begins with in a burn-in, as a multiple of its lasting one, in the paper.
RATE = 4.0
PENALTY = 10.0
FORGETTING = 10.0  # of 1 - beta2
FINAL = 0.1  # of the rate, that the last step has


def burn_in_factor(first, step, steps):
    """Return the factor on a value: from `first` to 1 on a cosine, then 1.

    Args:
        first: the factor at step 0.
        step: int scalar tensor, steps taken.
        steps: of the burn-in; 0: there is none.

    Returns:
        float32 scalar tensor, or the number 1 without a burn-in.
    """
    if not steps:
        return 1
    done = tf.minimum(tf.cast(step, tf.float32) / steps, 1.0)
    return 1 + (first - 1) * (1 + tf.cos(math.pi * done)) / 2


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that may be higher in a burn-in, and falls linearly to a tenth at the last step."""

    def __init__(self, rate, steps, decay_share, burn_in_steps=0):
        """
        Args:
            rate: the lasting rate.
            steps: steps of the whole run.
            decay_share: fraction of them, at the end, over which the rate falls.
            burn_in_steps: steps, at the start, over which it comes down to `rate`.
        """
        self.rate = rate
        self.steps = steps
        self.decay_steps = max(1.0, decay_share * steps)
        self.decay_share = decay_share
        self.burn_in_steps = burn_in_steps

    def __call__(self, step):
        """The rate at a step, float32 scalar."""
        rate = self.rate * burn_in_factor(RATE, step, self.burn_in_steps)
        if self.decay_share == 0:
            return tf.convert_to_tensor(rate, tf.float32)
        left = (self.steps - tf.cast(step, tf.float32)) / self.decay_steps
        return rate * tf.clip_by_value(left, FINAL, 1.0)

    def get_config(self):
        """The arguments that make an equal schedule."""
        return {"rate": self.rate, "steps": self.steps, "decay_share": self.decay_share,
                "burn_in_steps": self.burn_in_steps}
