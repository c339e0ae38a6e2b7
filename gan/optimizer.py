"""Adam in one operation a variable, and its rate over the run."""

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` with TensorFlow's fused update.

    Keras writes the update as some fifteen small operations a variable; on
    small networks they take longer than the arithmetic. The numbers are the
    same (Kingma & Ba 2015, with the two bias corrections folded into the rate).
    """

    def update_step(self, gradient, variable, learning_rate):
        """Apply a gradient to a `tf.Variable`, both float32 and of one shape."""
        index = self._get_variable_index(variable)
        steps = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, steps),
            beta2_power=tf.pow(self.beta_2, steps),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant, then falls linearly to a tenth at the last step."""

    FINAL = 0.1

    def __init__(self, rate, steps, decay_share):
        """
        Args:
            rate: the constant rate.
            steps: steps of the whole run.
            decay_share: fraction of them, at the end, over which the rate falls.
        """
        self.rate = rate
        self.steps = steps
        self.decay_steps = max(1.0, decay_share * steps)
        self.decay_share = decay_share

    def __call__(self, step):
        """The rate at a step, float32 scalar."""
        if self.decay_share == 0:
            return tf.constant(self.rate, tf.float32)
        left = (self.steps - tf.cast(step, tf.float32)) / self.decay_steps
        return self.rate * tf.clip_by_value(left, self.FINAL, 1.0)

    def get_config(self):
        """The arguments that make an equal schedule."""
        return {"rate": self.rate, "steps": self.steps, "decay_share": self.decay_share}
