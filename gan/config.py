"""Configuration of a training run: options, their defaults, and what excludes what.

Nothing heavy is imported here, so that `--help` and a mistyped option answer at once.
"""

import dataclasses
import functools
import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gan.common.command_line import (
    choice,
    device_count,
    device_name,
    flag,
    folder,
    image_size,
    number_range,
    one_of,
    option,
    real_number,
    registered,
    size_of,
    whole_number,
)
from gan.common.errors import UserError
from gan.data.conditions import IMAGES_PER_CLUSTER, IMAGES_PER_COORDINATE
from gan.data.datasets import DATASETS, READ_OPTIONS, are_pictures, options_for

MOST_GRIDS = MOST_CHECKPOINTS = 40  # of a run by default; both can take longer than an epoch
GRID_PIXELS = 2560  # along a side of a sample grid by default, at most
LOG_ROWS = 200
LEARNING_RATE = real_number(1e-12, 1)  # not 0
architectures = functools.partial(registered, "gan.models", "ARCHITECTURES")
losses = functools.partial(registered, "gan.losses", "LOSSES")
outputs = functools.partial(registered, "gan.models", "OUTPUTS")


@dataclass(frozen=True)
class TrainConfig:
    """All options of a run; `RULES` decide those of which the default is None or "auto"."""

    dataset: str = option(
        "mnist", "data", f"{', '.join(DATASETS)}, or a path", metavar="NAME|PATH")
    image_size: int | str = option(
        None, "data", "pixels of pictures from a folder: a side, or width x height",
        image_size, metavar="N|WxH", fixed=True)
    channels: int = option(
        None, "data", "of pictures: 1 for grayscale, 3 for color, 4 with transparency",
        one_of(("1", "3", "4"), int), metavar="{1,3,4}", fixed=True)
    fit: str = choice("crop", "data", "how pictures get that shape",
                      ("crop", "pad", "squash"), fixed=True)
    resample: str = choice("auto", "data", "how pictures are resized; nearest: as pixel art",
                           ("auto", "smooth", "nearest"), fixed=True)
    frames: str = choice("first", "data", "pages of multi-page and animated pictures",
                         ("first", "all"), fixed=True)
    range: str = option(
        "bits", "data", "values that become black and white; bits: by their depth", number_range,
        metavar="LOW,HIGH", fixed=True)
    transpose: bool = option(
        False, "data", "swap rows and columns of image arrays, as for EMNIST", bool, fixed=True)
    skip_broken: bool = option(
        False, "data", "skip pictures of a folder that cannot be read", bool, fixed=True)
    memory_share: float = option(
        0.5, "data", "fraction of memory for images; more are read from disk", real_number(0, 1))
    condition: str = choice(
        "auto", "data", "what both networks are conditioned on",
        ("auto", "labels", "clusters", "none"), fixed=True)
    clusters: int = option(
        None, "data", "k-means clusters within each label, or of all images",
        whole_number(0, 4096), fixed=True)
    components: int = option(
        None, "data", "latent entries that hold the image's PCA coordinates",
        whole_number(0, 50), fixed=True)

    arch: str = choice("auto", "model", "architecture", lambda: ("auto", *architectures()),
                       fixed=True)
    upsampling: str = choice(
        "auto", "model", "upsampling of conv and dcgan; filtered: anti-aliased",
        ("auto", "filtered", "plain"), fixed=True)
    output: str = choice("auto", "model", "output activation of the generator",
                         lambda: ("auto", *outputs()), fixed=True)
    latent_dim: int = option(
        None, "model", "length of the latent vector", whole_number(1, 4096), fixed=True)
    base_channels: int = option(
        None, "model", "channels next to the image", whole_number(1, 1024), fixed=True)
    max_channels: int = option(
        None, "model", "channels of the widest layer; 0: 8 times --base-channels",
        whole_number(0, 8192), fixed=True)
    blocks: int = option(
        None, "model", "residual blocks of the generator at its coarsest size",
        whole_number(1, 64), fixed=True)
    spectral_norm: bool = option(
        False, "model", "spectral normalization of the discriminator", bool, fixed=True)
    dropout: float = option(
        0.0, "model", "dropout rate of the discriminator", real_number(0, 0.9), fixed=True)

    loss: str = choice("auto", "objective", "adversarial loss", lambda: ("auto", *losses()),
                       fixed=True)
    label_smoothing: float = option(
        0.0, "objective", "one-sided label smoothing (nonsaturating, minimax)",
        real_number(0, 0.5), fixed=True)
    gradient_penalty: str = choice(
        "r1r2", "objective", "penalty on the discriminator's gradient",
        ("none", "r1", "r2", "r1r2", "wgan-gp"), fixed=True)
    gp_weight: float = option(
        None, "objective", "weight of the gradient penalty", real_number(0, 1e4))
    gp_interval: int = option(
        None, "objective", "steps between gradient penalties, weighted to match",
        whole_number(1, 1000))
    detail_weight: float = option(
        None, "objective", "weight of matching the high-frequency energy of real images",
        real_number(0, 1e4), fixed=True)
    n_critic: int = option(1, "objective", "discriminator steps per generator step",
                           whole_number(1, 100), fixed=True)
    augment: str = choice("auto", "objective", "adaptive discriminator augmentation",
                          ("auto", "adaptive", "none"), fixed=True)
    mirror: bool = option(
        False, "objective", "also learn the mirror image of every picture", bool, fixed=True)
    lr: float = option(
        1.5e-3, "objective", "Adam's learning rate for both networks", LEARNING_RATE)
    lr_g: float = option(None, "objective", "the generator's own learning rate", LEARNING_RATE)
    lr_d: float = option(None, "objective", "the discriminator's own learning rate", LEARNING_RATE)
    lr_decay: float = option(
        0.5, "objective", "final fraction of the run with decaying learning rates",
        real_number(0, 1))
    beta1: float = option(0.0, "objective", "Adam's beta1", real_number(0, 0.9999), fixed=True)
    beta2: float = option(0.99, "objective", "Adam's beta2", real_number(0, 0.999999), fixed=True)

    epochs: int = option(
        None, "training", "passes over the data", whole_number(1, 10**6))
    batch_size: int = option(
        None, "training", "real images per step", whole_number(2, 65536), fixed=True)
    ema: float = option(
        None, "training", "fraction of the steps so far in the weight average; 0: none",
        real_number(0, 1))
    mixed_precision: str = choice(
        "auto", "training", "number format of the layers; off: float32",
        ("auto", "float16", "bfloat16", "off"), fixed=True)
    device: str = option("auto", "training", "device; auto: the first GPU, or else the CPU",
                         device_name, metavar="{auto,cpu,gpu,gpu:N}")
    devices: int | str = option(
        1, "training", "GPUs of this machine that share each batch, or auto: all",
        device_count, metavar="N|auto")
    reduce_precision: str = choice(
        "float32", "training", "number format of gradients exchanged by devices",
        ("float32", "bfloat16", "float16"))
    minutes: float = option(
        0.0, "training", "minutes for the whole run, which decide --epochs; 0: none",
        real_number(0, 1e6), fixed=True)
    max_minutes: float = option(
        0.0, "training", "minutes until the run stops and exports; 0: no limit",
        real_number(0, 1e6))
    seed: int = option(
        0, "training", "seed of all random numbers", whole_number(0, 2**31 - 1), fixed=True)
    resume: bool = option(False, "training", "continue the run in --outdir", bool)
    overwrite: bool = option(False, "training", "replace the run in --outdir", bool)
    init_from: str = option(
        "none", "training", "run or export whose weights the new run begins with",
        lambda text: text if text == "none" else folder(text), metavar="RUN|EXPORT")

    outdir: str = option(".", "output", "folder of the run", folder, metavar="FOLDER")
    num_samples: int = option(
        None, "output", "images in a sample grid", whole_number(1, 4096), fixed=True)
    sample_interval: int = option(
        None, "output", f"epochs between sample grids, at most {MOST_GRIDS} by default",
        whole_number(1, 10**6))
    metrics_interval: int = option(
        None, "output", "epochs between measurements; 0: at the end only",
        whole_number(0, 10**6))
    checkpoint_interval: int = option(
        None, "output", f"epochs between checkpoints, at most {MOST_CHECKPOINTS} by default",
        whole_number(1, 10**6))
    log_interval: int = option(
        None, "output", f"steps between rows of steps.csv, by default about {LOG_ROWS} a run",
        whole_number(1, 10**6))
    keep_best: bool = option(
        False, "output", "export the best measured epoch (needs --metrics-interval)", bool)
    tensorboard: bool = option(False, "output", "also write logs for TensorBoard", bool)
    dry_run: bool = option(False, "output", "check everything, but do not train", bool)
    verbose: bool = option(False, "output", "show TensorFlow's own messages", bool)

    def for_data(self, dataset, device=None):
        """Return the complete configuration for a data set, on a `Device` (None: CPU, float32)."""
        largest = None if dataset.labels is None else int(np.bincount(dataset.labels).max())
        facts = Facts(tuple(dataset.images.shape), largest, dataset.background,
                      resample=dataset.facts.get("resample", "smooth"))
        if device:
            facts = facts._replace(gpu=device.gpu, policy=device.policy)
        return self.completed(facts)

    def completed(self, facts):
        for name, values in VALUES_FOR_POINTS.items() if not facts.images else ():
            if getattr(self, name) not in values:
                raise UserError(f"{flag(name)}: expected for points: "
                                f"{values[0] or 'leave it out'}, got: {getattr(self, name)}")
        if self.condition == "labels" and facts.largest_class is None:
            raise UserError("--condition: expected clusters or none, as "
                            f"{os.path.basename(self.dataset)} has no labels, got: labels")
        config = self
        for name, rule in RULES.items():
            if getattr(config, name) in (None, "auto"):
                config = dataclasses.replace(config, **{name: rule(config, facts)})
        for message in config._unsuitable(facts):
            raise UserError(message)
        return config

    @property
    def named(self):
        return self.dataset in DATASETS

    @property
    def policy(self):
        """The Keras dtype policy of the two networks."""
        return "float32" if self.mixed_precision == "off" else f"mixed_{self.mixed_precision}"

    @property
    def bounded(self):
        """Whether the discriminator has layers that residual blocks are not made of."""
        return self.spectral_norm or self.dropout > 0

    def check(self, given):
        """Raise `UserError` for options that exclude each other, or were given in vain."""
        for message in self._contradictions(given):
            raise UserError(message)

    def _contradictions(self, given):
        if self.resume and self.overwrite:
            yield "--resume and --overwrite contradict each other: expected one of them"
        if self.devices != 1 and ":" in self.device:
            yield f"--devices needs --device auto, cpu or gpu, got: --device {self.device}"
        if self.loss == "wgan" and self.gradient_penalty == "none" and not self.spectral_norm:
            yield ("--loss wgan needs a --gradient-penalty or --spectral-norm, as nothing else "
                   "bounds its discriminator, got: neither")
        if self.arch == "resnet" and self.bounded:
            yield ("--spectral-norm and --dropout need --arch conv, dcgan or mlp, got: "
                   "--arch resnet")
        if {"minutes", "epochs"} <= given and not self.resume:
            yield "--minutes decides --epochs: expected one of them, got: both"
        if {"lr", "lr_g", "lr_d"} <= given:
            yield ("--lr has no effect beside --lr-g and --lr-d: expected one or both of them, "
                   "or --lr")
        if self.resume:  # what an option needs may be in force in the run to resume
            return
        path = os.path.expanduser(self.dataset)
        for name in sorted(given & READ_OPTIONS.keys() - options_for(path)):
            if getattr(self, name) != FIELDS[name].default and (
                    self.named or os.path.lexists(path)):
                yield (f"{flag(name)}: expected a --dataset {READ_OPTIONS[name]} with it, "
                       f"got: {self.dataset}")
        for name in sorted({"clusters", "components"} & given):
            if self.condition == "none" and getattr(self, name):
                yield f"{flag(name)} needs --condition labels or clusters, got: --condition none"
        for name in sorted({"gp_weight", "gp_interval"} & given):
            if self.gradient_penalty == "none":
                yield f"{flag(name)} needs a --gradient-penalty, got: --gradient-penalty none"
        if "upsampling" in given and self.upsampling != "auto" and self.arch not in UPSAMPLED:
            yield f"--upsampling needs --arch {' or '.join(UPSAMPLED)}, got: --arch {self.arch}"

    def _unsuitable(self, facts):
        count = facts.shape[0]
        if self.keep_best and not self.metrics_interval:
            yield "--keep-best needs --metrics-interval, got: --metrics-interval 0"
        if self.blocks > 1 and self.arch != "resnet":
            yield f"--blocks needs --arch resnet, got: --arch {self.arch}"
        if 2 * self.components > self.latent_dim:
            yield ("--components: expected at most half of --latent-dim, which is "
                   f"{self.latent_dim}, got: {self.components}")
        if self.devices != "auto" and self.batch_size % self.devices:
            yield (f"--batch-size: expected a multiple of {self.devices}, the number of devices, "
                   f"got: {self.batch_size}")
        if self.batch_size > count:
            yield (f"--batch-size: expected at most {count}, the number of training samples, "
                   f"got: {self.batch_size}")
        if self.condition == "none":
            return
        for name, most, each in (
                ("clusters", facts.most_clusters(self), IMAGES_PER_CLUSTER[self.condition]),
                ("components", facts.most_components, IMAGES_PER_COORDINATE)):
            if getattr(self, name) > most:
                yield (f"{flag(name)}: expected at most {most}, one for each {each} images, "
                       f"got: {getattr(self, name)}")


FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
VALUES_FOR_POINTS = {"output": ["auto"], "condition": ["none", "auto"],
                     "augment": ["none", "auto"], "mirror": [False],
                     "detail_weight": [None, 0.0],
                     "memory_share": [FIELDS["memory_share"].default]}
UPSAMPLED = ("conv", "dcgan")  # architectures with transposed convolutions


# The defaults that depend on the data, the device or other options.

LITTLE_DATA = 20_000  # images, below which the discriminator may learn them by heart
FEW = 2_000  # images; of fewer, more channels cost residual networks variety
STEP_PIXELS, LEAST_BATCH = 2**19, 8  # pixels of a step's images at most; images at least
EPOCHS = 4  # passes over the data, at least
SMALL = 32  # pixels, up to which there is time for twice the channels
CLUSTERS_PER_LABEL, CLUSTERS, CLUSTERS_OF_PICTURES = 24, 256, 512
COMPONENTS, COMPONENTS_OF_PICTURES = 12, 16
LATENT, LATENT_OF_PICTURES, LATENT_OF_POINTS = 64, 32, 4
PENALTY_WEIGHT, POINTS_PENALTY = 0.05, 0.1  # on images of MNIST's size, and on points
WIDENING = 1.5  # from the image inward; twice as many channels draw small images no better
RESNET_PENALTY = 8  # times as much, for more variety
RESNET_BLOCKS = 6  # at the coarsest size; at larger ones depth helps less
RESNET_DETAIL = 4.0  # without it, residual networks draw edges a little too soft
EMA, RESNET_EMA = 0.13, 0.03  # of the steps so far; the shorter one is sharper
WGAN_GP_WEIGHT = 10.0  # lambda of Gulrajani et al. 2017


class Facts(NamedTuple):
    """What the defaults depend on besides the options."""

    shape: tuple
    largest_class: int | None = None
    background: tuple | None = None
    gpu: bool = False
    policy: str = "float32"
    resample: str = "smooth"

    @property
    def images(self):
        return len(self.shape) == 4

    @property
    def pictures(self):
        """Whether the samples are images in color or larger than 32 pixels."""
        return self.images and are_pictures(self.shape[1:])

    def most_clusters(self, config):
        divided = self.largest_class if config.condition == "labels" else self.shape[0]
        return max(1, divided // IMAGES_PER_CLUSTER[config.condition])

    @property
    def most_components(self):
        return self.shape[0] // IMAGES_PER_COORDINATE


class Size(NamedTuple):
    base_channels: int  # nearest the image
    batch_size: int  # images a step
    shown: int  # images of the whole run, at least


def _size(config, facts):
    if not facts.images:
        return Size(16, 256, 3_072_000)
    if config.arch != "resnet":
        return Size(32, 64, 100_000)
    # A GPU takes a wider step of more images in nearly the same time.
    size = Size(32, 32, 200_000) if facts.gpu else Size(24, 16, 100_000)
    if facts.shape[0] < FEW or max(facts.shape[1:3]) > SMALL:
        return size
    return size._replace(base_channels=2 * size.base_channels)


def _max_channels(config, facts):
    small = facts.images and max(facts.shape[1:3]) <= SMALL
    return int(WIDENING * config.base_channels) if small and config.arch == "conv" else 0


def _batch_size(config, facts):
    size = min(_size(config, facts).batch_size, facts.shape[0])
    if not facts.images or facts.gpu:
        return size
    # Fewer large images, so that a step fits into a few GiB.
    return min(size, max(LEAST_BATCH, STEP_PIXELS // math.prod(facts.shape[1:3])))


def _latent_dim(config, facts):
    if not facts.images:
        return LATENT_OF_POINTS
    # With less left to chance, the condition tells more about an image.
    least = LATENT_OF_PICTURES if facts.pictures else LATENT
    return max(least, 2 * (config.components or 0))


def _condition(config, facts):
    if not facts.images:
        return "none"
    return "clusters" if facts.largest_class is None else "labels"


def _clusters(config, facts):
    if config.condition == "none":
        return 0
    unlabeled = CLUSTERS_OF_PICTURES if facts.pictures else CLUSTERS
    wanted = CLUSTERS_PER_LABEL if config.condition == "labels" else unlabeled
    return min(wanted, facts.most_clusters(config))


def _components(config, facts):
    if config.condition == "none":
        return 0
    wanted = COMPONENTS_OF_PICTURES if facts.pictures else COMPONENTS
    return min(wanted, config.latent_dim // 2, facts.most_components)


def _arch(config, facts):
    if not facts.images:
        return "mlp"
    return "resnet" if facts.pictures and not config.bounded else "conv"


def _loss(config, facts):
    # It adds variety to pictures, and makes small drawings worse.
    relativistic = config.arch == "resnet" and not config.label_smoothing
    return "relativistic" if relativistic else "nonsaturating"


def _output(config, facts):
    background = facts.background
    if not facts.images:
        return "auto"
    if background and (config.arch == "resnet" or config.arch == "conv" and background.plain):
        return "smooth"
    if background and config.arch == "conv" and background.dark:
        return "bright"
    return "clip" if config.arch == "resnet" else "tanh"


def _gp_weight(config, facts):
    if config.gradient_penalty == "wgan-gp":
        return WGAN_GP_WEIGHT
    if not facts.images:
        # The slope of WGAN's critic has no other bound.
        return POINTS_PENALTY * (10 if config.loss == "wgan" else 1)
    # The same slope for each value makes a longer gradient in a larger image.
    larger = max(1.0, math.prod(facts.shape[1:]) / 28**2)
    return PENALTY_WEIGHT * larger * (RESNET_PENALTY if config.arch == "resnet" else 1)


def _gp_interval(config, facts):
    if facts.images:
        # 16 as in StyleGAN2 (Karras et al. 2020); residual networks are tuned for 8.
        return 16 if config.arch == "conv" and config.gradient_penalty != "wgan-gp" else 8
    # WGAN-GP loses modes of points between two penalties.
    return 1 if config.gradient_penalty == "wgan-gp" else 4


RULES = {  # option → its default; a later one may depend on an earlier one
    "lr_g": lambda config, facts: config.lr,
    "lr_d": lambda config, facts: config.lr,
    "device": lambda config, facts: "gpu" if facts.gpu else "cpu",
    "mixed_precision": lambda config, facts: (
        "off" if facts.policy == "float32" else facts.policy.removeprefix("mixed_")),
    "image_size": lambda config, facts: size_of(facts.shape[1:]) if facts.images else None,
    "channels": lambda config, facts: facts.shape[3] if facts.images else None,
    "resample": lambda config, facts: facts.resample,
    "latent_dim": _latent_dim,
    "condition": _condition,
    "clusters": _clusters,
    "components": _components,
    "arch": _arch,
    "loss": _loss,
    "upsampling": lambda config, facts: (
        "filtered" if facts.pictures and config.arch in UPSAMPLED else "plain"),
    "output": _output,
    "augment": lambda config, facts: (
        "adaptive" if facts.images and facts.shape[0] < LITTLE_DATA else "none"),
    "gp_weight": _gp_weight,
    "gp_interval": _gp_interval,
    "detail_weight": lambda config, facts: RESNET_DETAIL if config.arch == "resnet" else 0.0,
    "base_channels": lambda config, facts: _size(config, facts).base_channels,
    "max_channels": _max_channels,
    "blocks": lambda config, facts: RESNET_BLOCKS if config.arch == "resnet" else 1,
    "batch_size": _batch_size,
    "ema": lambda config, facts: RESNET_EMA if config.arch == "resnet" else EMA,
    "epochs": lambda config, facts: max(
        EPOCHS, math.ceil(_size(config, facts).shown / facts.shape[0])),
    "log_interval": lambda config, facts: math.ceil(
        config.epochs * (facts.shape[0] // config.batch_size) / LOG_ROWS),
    "num_samples": lambda config, facts: (
        min(10, GRID_PIXELS // max(facts.shape[1:3])) ** 2 if facts.images else 2000),
    "metrics_interval": lambda config, facts: (
        0 if facts.images else math.ceil(config.epochs / MOST_GRIDS)),
    "sample_interval": lambda config, facts: math.ceil(config.epochs / MOST_GRIDS),
    "checkpoint_interval": lambda config, facts: math.ceil(config.epochs / MOST_CHECKPOINTS),
}
