"""Generators and discriminators as Keras Sequential models, a pair for each architecture.

The generator's input is the latent with the condition vector beside it. The discriminator has
an output for each entry of what it is conditioned on, see `logits_under`.
"""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.initializers import RandomNormal

from gan.common.errors import UserError
from gan.data.points import UNIT
from gan.data.sample_types import sample_type_of
from gan.distributed.replica import SyncBatchNorm, SyncDropout
from gan.layers import (
    Blur,
    BrightTanh,
    CleanBackground,
    Clip,
    ConditionLogits,
    Downsample,
    LeakyReLU,
    Pointwise,
    Residual,
    SmoothClip,
    SpectralConv2D,
    SpectralDense,
    ToImage,
)

PLACES = (5, 6, 7, 8, 9, 11)  # along a side of the coarsest feature map
MOST_DOUBLINGS = 6
MOST_CHANNELS = 8  # of the widest layer by default, as a multiple of the base channels
OUTPUTS = {"clip": Clip, "smooth": SmoothClip, "bright": BrightTanh,
           "tanh": functools.partial(layers.Activation, "tanh")}


def build_generator(config, shape, vector_size, box=UNIT, policy="float32", background=None):
    """Build the generator: float32 [N, latent_dim + vector_size] → samples, images in [-1, 1].

    A sample's shape is (H, W, C), or (D,) of points, which are scaled to their `Box`. A condition
    vector of one entry says nothing and is left out. A `Background` is cleaned of faint traces.
    """
    inputs = config.latent_dim + (vector_size if vector_size > 1 else 0)
    layers_of = architecture(config.arch, shape).generator
    if isinstance(layers_of, keras.Model):
        return own_generator(layers_of, config.latent_dim, inputs, shape)
    with dtype_policy(policy):
        body = list(layers_of(config, shape))
    # float32 under every policy: 8 bits of bfloat16 are fewer shades than an image has.
    if len(shape) == 1:
        body.append(layers.Rescaling(box.extent, box.center, dtype="float32", name="points"))
    else:
        output = "tanh" if config.output == "auto" else config.output
        body.append(OUTPUTS[output](dtype="float32", name="images"))
    if background:
        body.append(CleanBackground(*background, dtype="float32", name="clean_background"))
    return keras.Sequential([keras.Input((inputs,)), *body], name="generator")


def build_discriminator(config, shape, outputs, box=UNIT, policy="float32"):
    """Build the discriminator: samples → float32 [N, outputs], see `logits_under`."""
    layers_of = architecture(config.arch, shape).discriminator
    if isinstance(layers_of, keras.Model):
        return own_discriminator(layers_of, outputs, shape)
    body = []
    if len(shape) == 1:
        scale = 1 / np.asarray(box.extent)
        offset = 0.0 - scale * np.asarray(box.center)
        body.append(layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="unit"))
    with dtype_policy(policy):
        body += [*layers_of(config, shape), layers.Flatten()]
    body.append(SpectralDense(outputs, dtype="float32", name="logits") if config.spectral_norm else
                ConditionLogits(outputs, kernel_initializer=normal(), dtype="float32",
                                name="logits"))
    return keras.Sequential([keras.Input(shape), *body], name="discriminator")


def generator_inputs(latents, vectors):
    """Put condition vectors beside latents: float32 [N, latent_dim], [N, vector_size]."""
    return latents if vectors.shape[-1] == 1 else tf.concat([latents, vectors], axis=1)


def logits_under(discriminator, condition):
    """Return a function, samples → their logits under conditions, [N, W + D]: float32 [N].

    A condition is a vector and PCA coordinates. A logit is the sum of a sample's outputs, weighted
    by its condition: with the entry that all samples share this is the projection discriminator
    (Miyato & Koyama 2018), a shared logit plus the condition's. A single output is the logit under
    every condition.
    """
    *body, last = discriminator.layers

    def logits(samples):
        outputs = discriminator(samples, training=True)
        return outputs[:, 0] if outputs.shape[1] == 1 else tf.reduce_sum(outputs * condition, 1)

    if not isinstance(last, ConditionLogits):
        return logits
    # The same sum in another order: one product of matrices serves all samples.
    weights, bias = last.logit_weights(condition)

    def projected(samples):
        # Wait for the weights, so that another core begins with the generator meanwhile.
        with tf.control_dependencies([weights]):
            samples = tf.identity(samples)
        for layer in body:
            samples = layer(samples, training=True)
        return tf.reduce_sum(weights * tf.cast(samples, tf.float32), axis=1) + bias

    return projected


# conv and dcgan.


def dcgan_generator(config, shape):
    """Dense, then transposed convolutions (Radford et al. 2015)."""
    yield from grow(config, shape)
    yield from upsample(config, shape[-1])
    yield from crop(shape)


def conv_generator(config, shape):
    """DCGAN with one more convolution, at full size."""
    yield from grow(config, shape)
    yield from upsample(config, max(1, config.base_channels // 2), use_bias=False)
    yield from norm_relu()
    # A transposed convolution draws each pixel without regard to its neighbors, and leaves
    # stray ones; this one sees what is around.
    yield ToImage(shape[-1], kernel_initializer=normal())
    yield from crop(shape)


def dcgan_discriminator(config, shape):
    """Convolutions of stride 2 (Radford et al. 2015)."""
    yield from pad(shape)
    for filters in channels(config, shape):
        yield from downsample(config, filters)


def conv_discriminator(config, shape):
    """DCGAN, with as many filters in the first layer as its kernel has values, at most."""
    first, *others = channels(config, shape)
    yield from pad(shape)
    for filters in (min(first, 16 * shape[-1]), *others):
        yield from downsample(config, filters)


def grow(config, shape):
    """From the input to half of the image's size."""
    height, width, _ = coarsest(shape)
    first, *others = reversed(channels(config, shape))
    yield layers.Dense(height * width * first, use_bias=False, kernel_initializer=normal())
    yield layers.Reshape((height, width, first))
    yield from norm_relu()
    for filters in others:
        yield from upsample(config, filters, use_bias=False)
        yield from norm_relu()


def upsample(config, filters, **settings):
    # A kernel of 4 at stride 2 covers every pixel equally often; 5 would not.
    yield layers.Conv2DTranspose(filters, 4, strides=2, padding="same",
                                 kernel_initializer=normal(), **settings)
    if config.upsampling == "filtered":
        yield Blur()


def downsample(config, filters):
    if config.spectral_norm:
        yield SpectralConv2D(filters)
    else:
        yield Downsample(filters, kernel_initializer=normal())
    yield from leaky(config)


def norm_relu():
    yield SyncBatchNorm()
    yield layers.ReLU()


def leaky(config):
    yield LeakyReLU()
    if config.dropout:
        yield SyncDropout(config.dropout)


def normal():
    return RandomNormal(0.0, 0.02)  # Radford et al. 2015


# resnet: R3GAN (Huang et al. 2024).
#
# As in the paper: residual blocks of a widening 1 x 1, a depthwise and a narrowing 1 x 1
# convolution; Fixup (Zhang et al. 2019) in place of normalization; bilinear resampling outside of
# the blocks; a discriminator that ends in weighted sums of the places of each channel. Unlike
# there, its blocks begin at half of the image's size, which takes a third off a step's time.


def resnet_generator(config, shape):
    """Dense, then blocks and a doubling for each size, then a convolution."""
    height, width, _ = coarsest(shape)
    sizes = [*reversed(channels(config, shape)), max(1, config.base_channels // 2)]
    # Half as many blocks at each larger size.
    counts = [max(1, config.blocks >> level) for level in range(len(sizes))]
    yield layers.Dense(height * width * sizes[0], kernel_initializer=normal())
    yield layers.Reshape((height, width, sizes[0]))
    for count, wide, narrow in zip(counts, sizes, [*sizes[1:], None], strict=True):
        for _ in range(count):
            yield residual_block(wide, 2 if narrow else 1, sum(counts))
        if narrow:
            yield resize_channels(narrow)
            yield layers.UpSampling2D(2, interpolation="bilinear")
    yield ToImage(shape[-1], kernel_initializer=normal())
    yield from crop(shape)


def resnet_discriminator(config, shape):
    """A convolution of stride 2, then a block for each size, then sums over all places."""
    height, width, _ = coarsest(shape)
    first, *others = channels(config, shape)
    yield from pad(shape)
    yield Downsample(first, kernel_initializer="he_normal")
    yield residual_block(first, 2, 1 + len(others))
    for filters in others:
        yield layers.AveragePooling2D(2)
        yield resize_channels(filters)
        yield residual_block(filters, 2, 1 + len(others))
    yield LeakyReLU()
    # A product of matrices: a depthwise convolution that large is slow.
    yield layers.EinsumDense("nhwc,hwcm->ncm", ([first, *others][-1], 2),
                             kernel_initializer=RandomNormal(0, 1 / math.sqrt(height * width)))


def residual_block(filters, widening, blocks):
    # Fixup: of L branches of three layers, those before the last one start smaller by
    # L^(-1 / 4), and the last one at zero, so that a block begins as the identity.
    scale = math.sqrt(2) / blocks**0.25

    return Residual([
        Pointwise(widening * filters,
                  kernel_initializer=RandomNormal(0, scale / math.sqrt(filters))),
        LeakyReLU(),
        layers.DepthwiseConv2D(3, padding="same",
                               depthwise_initializer=RandomNormal(0, scale / math.sqrt(9))),
        LeakyReLU(),
        Pointwise(filters, kernel_initializer="zeros"),
    ])


def resize_channels(filters):
    """Another number of channels, of the same variance."""
    return Pointwise(filters, use_bias=False, kernel_initializer="lecun_normal")


# mlp (Goodfellow et al. 2014), for images and points.


def mlp_generator(config, shape):
    """Three dense layers."""
    for units in (8, 8, 8) if len(shape) == 1 else (8, 16, 32):
        yield layers.Dense(units * config.base_channels, kernel_initializer="he_normal")
        yield layers.ReLU()
    yield layers.Dense(math.prod(shape))
    if len(shape) > 1:
        yield layers.Reshape(shape)


def mlp_discriminator(config, shape):
    """Two dense layers for images, three for points."""
    yield layers.Flatten()
    for units in (8, 8, 8) if len(shape) == 1 else (16, 8):
        if config.spectral_norm:
            yield SpectralDense(units * config.base_channels)
        else:
            yield layers.Dense(units * config.base_channels, kernel_initializer="he_normal")
        yield from leaky(config)


# Models of one's own, which `gan.train` takes.


def own_generator(model, latent_dim, inputs, shape):
    """Return a copy of a Keras model for latents, or for latents with condition vectors."""
    size = model.input_shape[-1]
    if model.input_shape not in ((None, latent_dim), (None, inputs)):
        raise UserError(f"generator: expected inputs of {latent_dim} (latent_dim) or {inputs} "
                        f"(with the condition vector), got: {model.input_shape}")
    _check_shape("generator: expected outputs", model.output_shape, shape)
    vectors = keras.Input((inputs,))
    return keras.Model(vectors, _copy(model)(vectors[:, :size]), name="generator")


def own_discriminator(model, outputs, shape):
    """Return a copy of a Keras model with one logit, or one for each entry of the condition."""
    _check_shape("discriminator: expected inputs", model.input_shape, shape)
    if model.output_shape not in ((None, 1), (None, outputs)):
        raise UserError("discriminator: expected one logit a sample, or one for each of the "
                        f"{outputs} entries of the condition, got: {model.output_shape}")
    return _copy(model)


def _check_shape(expected, found, shape):
    if found != (None, *shape):
        raise UserError(f"{expected} of the samples' shape {(None, *shape)}, got: {found}")


def _copy(model):
    """Return a model of the same layers and weights; the original is not trained."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


class Architecture(NamedTuple):
    """Functions of (config, shape) that return the layers of the two networks, or two Keras models.

    The generator's lead up to the output activation, the discriminator's to the last hidden layer.
    """

    generator: Callable
    discriminator: Callable
    samples: tuple = ("images",)  # the types of sample that it is for


ARCHITECTURES = {
    "conv": Architecture(conv_generator, conv_discriminator),
    "dcgan": Architecture(dcgan_generator, dcgan_discriminator),
    "resnet": Architecture(resnet_generator, resnet_discriminator),
    "mlp": Architecture(mlp_generator, mlp_discriminator, ("images", "points")),
}


def architecture(name, shape):
    samples = sample_type_of(shape).name
    known = [key for key, entry in ARCHITECTURES.items() if samples in entry.samples]
    if name not in known:
        raise UserError(f"--arch: expected for {samples}: {' or '.join(known)}, got: {name}")
    return ARCHITECTURES[name]


# Sizes.


def coarsest(shape):
    """Return height and width of the coarsest feature map, and how often it doubles."""
    def padded(side):
        return min((places << doublings, doublings) for places in PLACES
                   for doublings in range(1, MOST_DOUBLINGS + 1) if places << doublings >= side)

    doublings = min(padded(side)[1] for side in shape[:2])
    height, width = (math.ceil(side / 2**doublings) for side in shape[:2])
    return height, width, doublings


def channels(config, shape):
    """Channels from the image inward: 32, 64, 128, … up to the most."""
    most = config.max_channels or MOST_CHANNELS * config.base_channels
    return [min(config.base_channels * 2**level, most) for level in range(coarsest(shape)[2])]


def margins(shape):
    """Pixels that the feature maps are larger than the image, ((top, bottom), (left, right))."""
    *places, doublings = coarsest(shape)
    extra = [(place << doublings) - side for place, side in zip(places, shape[:2], strict=True)]
    return tuple((pixels // 2, pixels - pixels // 2) for pixels in extra)


def crop(shape):
    if any(map(any, margins(shape))):
        yield layers.Cropping2D(margins(shape))


def pad(shape):
    if any(map(any, margins(shape))):
        yield layers.ZeroPadding2D(margins(shape))


# Helpers.


@contextlib.contextmanager
def dtype_policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def samples_are_independent(discriminator):
    """Whether each output depends on its own sample alone, as without batch statistics."""
    # Tried with random weights, as initial ones may be zero.
    saved = [variable.numpy() for variable in discriminator.variables]
    for index, variable in enumerate(discriminator.trainable_variables):
        fan_in = max(1, math.prod(variable.shape[:-1]))
        variable.assign(tf.random.stateless_normal(variable.shape, [0, index], 0, fan_in**-0.5))
    pair = tf.random.stateless_normal([2, *discriminator.input_shape[1:]], [1, 0])
    with tf.GradientTape() as tape:
        tape.watch(pair)
        first = tf.reduce_sum(discriminator(pair, training=True)[0])
    own, other = tape.gradient(first, pair).numpy()
    for variable, value in zip(discriminator.variables, saved, strict=True):
        variable.assign(value)
    return bool(np.any(own) and not np.any(other))
