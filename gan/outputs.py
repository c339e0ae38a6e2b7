"""The last layers of generators of images, that bring values between black and white."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("gan")
class Clip(keras.layers.Layer):
    """Values cut off at -1 and 1, as those of stored images are.

    Black and white are within reach of a linear layer, where tanh only comes
    near them. A little beyond the bounds the gradient is passed, so that what is to be
    black or white settles there and stays it when weights move or are averaged. Farther
    out it is passed while it moves a value back, and stopped otherwise: values neither
    get stuck nor run away.
    """

    MARGIN = 0.05  # six grey levels

    def call(self, inputs, training=False):
        """[N, ...] → the same shape in [-1, 1]."""
        return _clip(inputs, self.MARGIN) if training else tf.clip_by_value(inputs, -1.0, 1.0)


@keras.saving.register_keras_serializable("gan")
class SmoothClip(Clip):
    """Values cut off at -1 and 1, on a curve that is flat at both ends.

    (3 v - v^3) / 2, the smoothstep of computer graphics: how far a value is from black
    or white is squared, and the faint traces that a generator leaves on an even ground
    become too faint to be seen. The gradient is the curve's, but never less than
    `LEAST_SLOPE`, or what is black could not become brighter.
    """

    MARGIN = 0.2
    LEAST_SLOPE = 0.3

    def call(self, inputs, training=False):
        """[N, ...] → the same shape in [-1, 1]."""
        clipped = super().call(inputs, training)
        return _bend(clipped, self.LEAST_SLOPE) if training else _smoothstep(clipped)


@keras.saving.register_keras_serializable("gan")
class BrightTanh(keras.layers.Layer):
    """tanh, stretched by a fifth on its bright side and cut off at 1.

    For images on black with faint pixels: white is as far away as black for tanh, but
    half of all pixels teach a generator to get to black, and hardly any to white. Black
    is left to tanh, as faint traces appear around it where values are cut off. The
    gradient of what is cut off is passed where it leads back inside.
    """

    STRETCH = 0.2

    def call(self, inputs, training=False):
        """[N, ...] → the same shape in [-1, 1]."""
        values = tf.tanh(inputs)
        values += self.STRETCH * tf.nn.relu(values)
        return _clip(values, 0.0) if training else tf.minimum(values, 1.0)


@keras.saving.register_keras_serializable("gan")
class CleanBackground(keras.layers.Layer):
    """Faint traces on an even background become background, unless they touch what is plain.

    A pixel stays as it is where it or one of its eight neighbours stands out from the
    background as everything in the training images does. It fades where all of them
    stand out less, and is gone at half of it: the hysteresis thresholding of Canny
    1986, without a jump.
    """

    def __init__(self, colour, contrast, **settings):
        """
        Args:
            colour, contrast: in grey levels, see `gan.data.background.Background`.
            settings: of a Keras layer.
        """
        super().__init__(**settings)
        self._background = {"colour": list(colour), "contrast": contrast}

    def call(self, inputs):
        """[N, H, W, C] in [-1, 1] → the same."""
        colour = tf.constant(self._background["colour"], inputs.dtype) / 127.5 - 1
        difference = inputs - colour
        plainest = tf.nn.max_pool2d(
            tf.reduce_max(tf.abs(difference), axis=-1, keepdims=True), 3, 1, "SAME")
        kept = 2 * 127.5 / self._background["contrast"] * plainest - 1
        return colour + tf.clip_by_value(kept, 0.0, 1.0) * difference

    def get_config(self):
        return {**super().get_config(), **self._background}


def _clip(values, margin):
    @tf.custom_gradient
    def clip(values):
        def gradient(upstream):
            # A step of descent moves values against the gradient.
            far = 1 + margin
            inwards = tf.where(values > far, upstream > 0,
                               tf.where(values < -far, upstream < 0, True))
            return tf.where(inwards, upstream, tf.zeros_like(upstream))

        return tf.clip_by_value(values, -1.0, 1.0), gradient

    return clip(values)


def _bend(values, least_slope):
    @tf.custom_gradient
    def bend(values):
        def gradient(upstream):
            return upstream * tf.maximum(1.5 * (1 - tf.square(values)), least_slope)

        return _smoothstep(values), gradient

    return bend(values)


def _smoothstep(values):
    return 0.5 * values * (3 - tf.square(values))
