"""Learning rate schedule: constant, then a linear fall to a tenth."""

import keras
import tensorflow as tf

FINAL = 0.1  # of the rate, that the last step has


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate that falls linearly to a tenth at the end of the run."""

    def __init__(self, rate, steps, decay_share):
        """
        Args:
            rate: the learning rate.
            steps: steps of the whole run.
            decay_share: fraction of them, at the end, over which the rate falls.
        """
        self.rate = rate
        self.steps = steps
        self.decay_share = decay_share
        self.decay_steps = max(1.0, decay_share * steps)

    def __call__(self, step):
        """The learning rate at a step, float32 scalar."""
        if self.decay_share == 0:
            return tf.convert_to_tensor(self.rate, tf.float32)
        left = (self.steps - tf.cast(step, tf.float32)) / self.decay_steps
        return self.rate * tf.clip_by_value(left, FINAL, 1.0)

    def get_config(self):
        """The arguments that make an equal schedule."""
        return {"rate": self.rate, "steps": self.steps, "decay_share": self.decay_share}
