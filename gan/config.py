"""Every option of a training run, declared once.

The command line, `--help`, `config.json` and the checks of a resumed run are
all derived from the fields of `TrainConfig`. Nothing heavy is imported here, so
that `--help` and a mistyped option answer at once.
"""

import dataclasses
import json
import math
from dataclasses import dataclass

from gan.common.errors import UserError
from gan.common.options import (
    check_saved,
    choice,
    one_of,
    option,
    parser_of,
    real_number,
    whole_number,
)
from gan.data import toy

GROUPS = {
    "data": "what is learned",
    "model": "the two networks",
    "objective": "the game they play",
    "training": "how long and how fast",
    "output": "what is written, and where",
}
POSITIVE = 1e-12  # the smallest number that counts as such


@dataclass(frozen=True)
class TrainConfig:
    """All options of one training run; see `option` for the meaning of a field."""

    dataset: str = option(
        "mnist", "data",
        "mnist, fashion_mnist, stacked_mnist; a folder of pictures, or of one folder a class; a "
        ".npz file (x_train [N,H,W] or [N,H,W,C] uint8, and optionally y_train); a folder of IDX "
        "files; or simulated points: ring, grid, moons, swiss_roll, line",
        metavar="NAME|PATH", fixed=True,
    )
    image_size: int = option(
        None, "data",
        "side in pixels, a multiple of 4, that pictures of a folder are cropped and shrunk to "
        "(default: theirs if all are square and alike, otherwise 64)",
        whole_number(16, 128), metavar="N", fixed=True,
    )
    channels: int = option(
        None, "data",
        "1 for grey, 3 for colour, for a folder of pictures (default: 3 if any has colour)",
        one_of(("1", "3"), int), metavar="{1,3}", fixed=True,
    )
    skip_broken: bool = option(
        False, "data", "leave out the pictures of a folder that cannot be used", bool, fixed=True,
    )
    memory_share: float = option(
        0.5, "data",
        "largest share of this machine's memory for the images; more of them are streamed from "
        "the disk, with the same results",
        real_number(0, 1), metavar="X",
    )
    condition: str = choice(
        "auto", "data",
        "what the networks are told about each image: its label and its cluster within that "
        "label, its cluster among all images, its cluster in each colour plane, or nothing; auto: "
        "labels if there are any, planes for stacked_mnist, clusters otherwise",
        ("auto", "labels", "clusters", "planes", "none"), fixed=True, points="none",
    )
    clusters: int = option(
        None, "data",
        "number of k-means clusters: within each label, among all images, or in each plane "
        "(default: 12 within each label, 256 among all images, 16 in each plane)",
        whole_number(1, 4096), metavar="N", fixed=True,
    )

    arch: str = choice(
        "dcgan", "model",
        "transposed convolutions (Radford 2015) or fully connected layers (Goodfellow 2014)",
        ("dcgan", "mlp"), fixed=True, points="mlp",
    )
    latent_dim: int = option(
        64, "model", "numbers in the latent vector z", whole_number(1, 4096),
        metavar="N", fixed=True, points=4,
    )
    base_channels: int = option(
        32, "model",
        "channels of the layer nearest the image, doubled at each halving of the size; "
        "the mlp has 8 times as many units a layer",
        whole_number(1, 1024), metavar="N", fixed=True, points=16,
    )
    spectral_norm: bool = option(
        False, "model",
        "divide each weight of the discriminator by its largest singular value (Miyato 2018)",
        bool, fixed=True,
    )
    dropout: float = option(
        0.0, "model", "share of the discriminator's hidden units left out in each step",
        real_number(0, 0.9), metavar="X", fixed=True,
    )

    loss: str = choice(
        "nonsaturating", "objective",
        "the game: cross entropy with the generator raising log D(G(z)), or, as in the original, "
        "lowering log(1 - D(G(z))) (both Goodfellow 2014); least squares (Mao 2017); hinge (Lim "
        "2017); Wasserstein (Arjovsky 2017); relativistic pairs (Jolicoeur-Martineau 2018)",
        ("nonsaturating", "minimax", "lsgan", "hinge", "wgan", "relativistic"), fixed=True,
    )
    label_smoothing: float = option(
        0.0, "objective",
        "how far the discriminator's target for real images lies below 1 (one-sided; "
        "nonsaturating and minimax only)",
        real_number(0, 0.5), metavar="X", fixed=True,
    )
    gradient_penalty: str = choice(
        "r1r2", "objective",
        "penalty on the discriminator's gradient: its square at real images (r1), at generated "
        "ones (r2) or both (Mescheder 2018), or its distance from 1 between them (Gulrajani 2017)",
        ("none", "r1", "r2", "r1r2", "wgan-gp"), fixed=True,
    )
    gp_weight: float = option(
        None, "objective",
        "weight of the gradient penalty (default: 0.1 for images of MNIST's size and for points, "
        "more in proportion to the values of larger ones, 1.6 for 64 x 64 x 3; 10 with wgan-gp)",
        real_number(0, 1e4), metavar="X", fixed=True,
    )
    gp_interval: int = option(
        4, "objective", "steps between two penalties, each weighted that much more",
        whole_number(1, 1000), metavar="N", fixed=True,
    )
    n_critic: int = option(
        1, "objective", "steps of the discriminator for each one of the generator",
        whole_number(1, 100), metavar="N", fixed=True,
    )
    augment: bool = option(
        False, "objective",
        "shift and partly blank the images that the discriminator sees, real and generated "
        "alike (Zhao 2020): for small data sets",
        bool, fixed=True,
    )
    lr: float = option(
        1.5e-3, "objective", "Adam's learning rate, for both networks", real_number(POSITIVE, 1),
        metavar="X", fixed=True,
    )
    lr_g: float = option(
        None, "objective", "the generator's own learning rate (default: --lr)",
        real_number(POSITIVE, 1), metavar="X", fixed=True,
    )
    lr_d: float = option(
        None, "objective", "the discriminator's own learning rate (default: --lr)",
        real_number(POSITIVE, 1), metavar="X", fixed=True,
    )
    lr_decay: float = option(
        0.5, "objective",
        "share of the run, at its end, over which the rates fall to a tenth",
        real_number(0, 1), metavar="X", fixed=True,
    )
    beta1: float = option(
        0.0, "objective", "Adam's decay of the mean gradient, a step", real_number(0, 0.9999),
        metavar="X", fixed=True,
    )
    beta2: float = option(
        0.99, "objective", "Adam's decay of the mean square, a step", real_number(0, 0.999999),
        metavar="X", fixed=True,
    )

    epochs: int = option(
        6, "training", "passes over the data", whole_number(1, 10**6), metavar="N",
        points=30,
    )
    batch_size: int = option(
        64, "training", "real images a step, and as many generated ones", whole_number(2, 65536),
        metavar="N", fixed=True,
        points=256,
    )
    ema: float = option(
        0.998, "training",
        "decay a step of the average over the generator's weights that pictures and export "
        "are made with; 0: none",
        real_number(0, 0.999999), metavar="X", fixed=True,
    )
    mixed_precision: str = choice(
        "auto", "training",
        "number format of the layers; auto: float16 on a GPU with tensor cores, bfloat16 on a "
        "CPU that computes with it, float32 otherwise (off)",
        ("auto", "float16", "bfloat16", "off"), fixed=True,
        points="off",
    )
    max_minutes: float = option(
        None, "training",
        "stop after so many minutes from the start of the script, save and export "
        "(default: no limit)",
        real_number(0.01, 1e6), metavar="X",
    )
    seed: int = option(
        0, "training", "of all random numbers: the same seed, the same images",
        whole_number(0, 2**31 - 1), metavar="N", fixed=True,
    )
    resume: bool = option(
        False, "training",
        "continue the run that lies in --outdir, with its options; "
        "a larger --epochs makes a finished run go on", bool,
    )
    overwrite: bool = option(
        False, "training", "start anew where --outdir holds another run, which is deleted", bool
    )

    outdir: str = option(
        ".", "output", "folder that everything is written below", metavar="FOLDER"
    )
    num_samples: int = option(
        100, "output", "images in each epoch's picture", whole_number(1, 4096), metavar="N",
        fixed=True,
        points=2000,
    )
    sample_interval: int = option(
        1, "output", "epochs between two pictures", whole_number(1, 10**6), metavar="N",
    )
    metrics_interval: int = option(
        0, "output",
        "epochs between two measurements of the generated images (Fréchet distance, precision, "
        "recall, …); 0: at the end only, and only if no network has to be trained for it",
        whole_number(0, 10**6), metavar="N", points=1,
    )
    checkpoint_interval: int = option(
        1, "output", "epochs between two checkpoints", whole_number(1, 10**6), metavar="N",
    )
    tensorboard: bool = option(
        False, "output", "write losses and pictures for TensorBoard to OUTDIR/tensorboard", bool
    )
    dry_run: bool = option(
        False, "output", "check everything, print the networks and the plan, and stop", bool
    )
    verbose: bool = option(False, "output", "show TensorFlow's own messages", bool)

    @classmethod
    def from_arguments(cls, arguments=None):
        """Parse a command line.

        Args:
            arguments: list of strings; None takes the process's own.

        Returns:
            `(config, given)`: the configuration, and the set of the names of
            the options that were given rather than left at their default.

        Raises:
            UserError: naming the option, what was expected and what arrived.
        """
        given = vars(make_parser().parse_args(arguments))
        _refuse_idle(given)
        if given.get("dataset") in toy.NAMES:
            return cls(**{**POINTS, **given}).resolved(), set(given)
        return cls(**given).resolved(), set(given)

    @property
    def simulated(self):
        """Whether the data are simulated points."""
        return self.dataset in toy.NAMES

    def resolved(self):
        """Return the configuration with dependent defaults filled in.

        Raises:
            UserError: when two options contradict each other.
        """
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite contradict each other: expected one of them")
        if (self.image_size or 0) % 4:
            raise UserError(f"--image-size: expected a multiple of 4, got: {self.image_size}")
        if self.clusters is not None and self.condition == "none":
            raise UserError(
                "--clusters: expected --condition labels or clusters with it, "
                "got: --condition none"
            )
        if self.label_smoothing and self.loss not in ("nonsaturating", "minimax"):
            raise UserError("--label-smoothing: expected --loss nonsaturating or minimax, whose "
                            f"targets it moves, got: --loss {self.loss}")
        if self.loss == "wgan" and self.gradient_penalty == "none" and not self.spectral_norm:
            raise UserError("--loss wgan: expected a --gradient-penalty or --spectral-norm, as "
                            "nothing else bounds its discriminator, got: neither")
        if self.simulated:
            self._refuse_for_points()
        return dataclasses.replace(
            self,
            lr_g=self.lr if self.lr_g is None else self.lr_g,
            lr_d=self.lr if self.lr_d is None else self.lr_d,
        )

    def _refuse_for_points(self):
        suits = {"arch": "mlp", "condition": "none", "augment": False}
        for name, value in suits.items():
            if getattr(self, name) != value:
                only = "leave it out" if value is False else value
                raise UserError(f"--{name}: expected for simulated points: {only}, "
                                f"got: {getattr(self, name)}")

    def for_samples(self, shape):
        """Return the configuration with what depends on the samples filled in.

        Args:
            shape: (H, W, C) of an image, (2,) of a point.
        """
        if self.gp_weight is not None:
            return self
        # The same slope for each value makes a longer gradient in a larger image.
        larger = max(1.0, math.prod(shape) / 28**2) if len(shape) == 3 else 1.0
        weight = 10.0 if self.gradient_penalty == "wgan-gp" else 0.1 * larger
        return dataclasses.replace(self, gp_weight=weight)

    def to_json(self):
        """Return the configuration as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def continued(self, saved, given):
        """Return the configuration of a resumed run.

        Args:
            saved: dict, the interrupted run's configuration.
            given: set of option names that were given for this run.

        Returns:
            The saved options, with those given now where they may change.

        Raises:
            UserError: naming the first option that was given with another value
                than a run can take up.
        """
        check_saved(TrainConfig, saved)
        keep = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not field.metadata["fixed"]:
                if field.name in given or field.name == "outdir":
                    keep[field.name] = value
                continue
            before = saved.get(field.name, field.default)
            if field.name in given and value != before:
                raise UserError(
                    f"--{field.name.replace('_', '-')}: the run to resume has {before}, "
                    f"got: {value}"
                )
        if self.epochs < saved["epochs"] and "epochs" in given:
            raise UserError(f"--epochs: expected at least {saved['epochs']}, what the run to "
                            f"resume has, got: {self.epochs}")
        # What was asked of the interrupted process is not asked of this one.
        for_once = {"max_minutes": None, "overwrite": False, "dry_run": False, "verbose": False}
        return dataclasses.replace(self, **{**saved, **for_once, **keep, "resume": False})


# What is not given has these values where the data are simulated points.
POINTS = {field.name: field.metadata["points"] for field in dataclasses.fields(TrainConfig)
          if field.metadata["points"] is not None}


def make_parser():
    """Return the parser of the command line of `train_gan.py`."""
    return parser_of(
        TrainConfig, GROUPS, prog="train_gan.py",
        description="Train a generator and a discriminator against each other, save a picture "
        "for every epoch, and export the generator as a SavedModel.",
        epilog="Options may be spelled with underscores: --batch_size is --batch-size.",
    )


def _refuse_idle(given):
    """Raise a `UserError` for a given option that another one makes idle."""
    if given.get("gradient_penalty") == "none":
        for name in ("gp_weight", "gp_interval"):
            if name in given:
                raise UserError(f"--{name.replace('_', '-')}: expected a --gradient-penalty with "
                                "it, got: --gradient-penalty none")
