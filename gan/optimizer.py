"""Adam in one fused operation per variable, and its learning rate schedule."""

import keras
import tensorflow as tf

FINAL = 0.1  # of the learning rate, at the last step


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` (Kingma & Ba 2015) with TensorFlow's fused update.

    Keras writes the update as some fifteen small operations per variable, which take longer
    than the arithmetic of small networks. The numbers are the same.
    """

    def update_step(self, gradient, variable, learning_rate):
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


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that falls linearly to a tenth over the last fraction `decay` of the steps."""

    def __init__(self, learning_rate, steps, decay):
        self.learning_rate, self.steps, self.decay = learning_rate, steps, decay

    def __call__(self, step):
        if self.decay == 0:
            return tf.convert_to_tensor(self.learning_rate, tf.float32)
        left = (self.steps - tf.cast(step, tf.float32)) / max(1.0, self.decay * self.steps)
        return self.learning_rate * tf.clip_by_value(left, FINAL, 1.0)

    def get_config(self):
        return {"learning_rate": self.learning_rate, "steps": self.steps, "decay": self.decay}
