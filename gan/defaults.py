"""What is filled in for the options that were not given.

`complete` fills in what depends on other options, `complete_for` what depends on the samples
and on the device. Nothing changes a configuration after that.
"""

import dataclasses
import math
import os

from gan.data.component_count import within_latent
from gan.data.names import STACKED
from gan.data.sizes import are_pictures
from gan.option_rules import UPSAMPLED, bounded, divisible

OUTPUTS = {"conv": "tanh", "resnet": "clip", "dcgan": "tanh", "mlp": "tanh"}  # without background
EPOCHS = 3  # passes over the data, at least
CHECKPOINTS = 40  # at most, as one can take longer than a short epoch
LITTLE_DATA = 20_000  # images, below which the discriminator may learn them by heart
FEW = 2_000  # images; of fewer, small batches or more channels cost residual networks variety
PENALTY_WEIGHT = 0.1  # of the penalty on images of MNIST's size
RESNET_PENALTY = 4  # times as much, for more variety
SMALL = 32  # pixels, up to which there is time for twice the channels
WGAN_GP_WEIGHT = 10.0  # lambda of Gulrajani et al. 2017


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the networks are and how long they are trained."""

    base_channels: int  # nearest the image
    batch_size: int  # images a step
    shown: int  # images of the whole run, at least


PLAIN = Size(32, 64, 100_000)
RESIDUAL = Size(24, 16, 100_000)
RESIDUAL_OF_FEW = Size(32, 32, 100_000)
RESIDUAL_ON_GPU = Size(32, 32, 200_000)


def complete(config):
    """Return a `TrainConfig` with what depends on other options filled in."""
    path = config.dataset
    return dataclasses.replace(
        config,
        lr_g=config.lr if config.lr_g is None else config.lr_g,
        lr_d=config.lr if config.lr_d is None else config.lr_d,
        components=within_latent(config.components, config.latent_dim),
        # The run may be continued from another folder.
        dataset=path if config.named else os.path.abspath(os.path.expanduser(path)),
    )


def complete_for(config, shape, condition, background=None, gpu=False):
    """Return a `TrainConfig` with what depends on the samples and the device filled in.

    Args:
        config: `TrainConfig`.
        shape: of all samples, (N, H, W, C) of images, (N, 2) of points.
        condition: what the samples are conditioned on, see `Conditioning.kind`.
        background: of the samples, see `Dataset.background`.
        gpu: whether a GPU computes.

    Raises:
        UserError: when the processes cannot share a batch.
    """
    arch, upsampling, output = _networks_for(config, shape, background)
    size = _size_for(arch, shape, gpu)
    epochs = config.epochs or max(EPOCHS, -(-size.shown // shape[0]))
    augment = config.augment
    if augment == "auto":
        augment = "adaptive" if len(shape) == 4 and shape[0] < LITTLE_DATA else "none"
    return divisible(dataclasses.replace(
        config, condition=condition, augment=augment, arch=arch, upsampling=upsampling,
        output=output, gp_weight=_penalty_weight(config, arch, shape), epochs=epochs,
        base_channels=config.base_channels or size.base_channels,
        batch_size=config.batch_size or min(size.batch_size, shape[0]),
        checkpoint_interval=config.checkpoint_interval or -(-epochs // CHECKPOINTS)))


def _networks_for(config, shape, background):
    """Return (arch, upsampling, output) for samples of a shape (N, H, W, C) or (N, 2)."""
    # Stacked digits are small grey images, three of them.
    pictures = len(shape) == 4 and config.dataset != STACKED and are_pictures(shape[1:])
    arch, upsampling, output = config.arch, config.upsampling, config.output
    if arch == "auto":
        arch = "resnet" if pictures and not bounded(config) else "conv"
    if upsampling == "auto" and arch in UPSAMPLED:
        upsampling = "filtered" if pictures else "plain"
    if output == "auto" and len(shape) == 4:
        output = OUTPUTS[arch]
        if background and (arch == "resnet" or arch == "conv" and background.plain):
            output = "smooth"
        elif background and arch == "conv" and background.dark:
            output = "bright"
    return arch, upsampling, output


def _size_for(arch, shape, gpu):
    """Return the `Size` of an architecture for samples of a shape."""
    if arch != "resnet":
        return PLAIN
    few = shape[0] < FEW
    size = RESIDUAL_OF_FEW if few else RESIDUAL
    if gpu:  # takes a wider step of more images in nearly the same time
        size = RESIDUAL_ON_GPU
    if few or shape[1] > SMALL:
        return size
    return dataclasses.replace(size, base_channels=2 * size.base_channels)


def _penalty_weight(config, arch, shape):
    """Return the weight of the gradient penalty for samples of a shape."""
    if config.gp_weight is not None:
        return config.gp_weight
    if config.gradient_penalty == "wgan-gp":
        return WGAN_GP_WEIGHT
    # The same slope for each value makes a longer gradient in a larger image.
    larger = max(1.0, math.prod(shape[1:]) / 28**2) if len(shape) == 4 else 1.0
    return PENALTY_WEIGHT * larger * (RESNET_PENALTY if arch == "resnet" else 1)
