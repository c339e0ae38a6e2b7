"""Adam in one operation a variable."""

import keras
import tensorflow as tf

from gan.schedule import FORGETTING, burn_in_factor


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` with TensorFlow's fused update.

    Keras writes the update as some fifteen small operations a variable; on
    small networks they take longer than the arithmetic. The numbers are the
    same (Kingma & Ba 2015, with the two bias corrections folded into the rate).
    """

    def __init__(self, rate, burn_in_steps=0, **settings):
        """
        Args:
            rate: a learning rate, or a schedule of it.
            burn_in_steps: steps over which beta2 rises to its lasting value, see
                `gan.schedule`.
            **settings: of `keras.optimizers.Adam`.
        """
        super().__init__(rate, **settings)
        self.burn_in_steps = burn_in_steps

    def update_step(self, gradient, variable, learning_rate):
        """Apply a gradient to a `tf.Variable`, both float32 and of one shape."""
        index = self._get_variable_index(variable)
        steps = tf.cast(self.iterations + 1, tf.float32)
        beta2 = self.beta_2
        if self.burn_in_steps:
            beta2 = 1 - (1 - beta2) * burn_in_factor(FORGETTING, self.iterations,
                                                     self.burn_in_steps)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, steps),
            beta2_power=tf.pow(beta2, steps),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=beta2,
            epsilon=self.epsilon,
            grad=gradient,
        )
