"""Every option of a training run, declared once.

The command line, `--help`, `config.json`, the tables of the documentation and
the checks of a resumed run are all derived from these fields. Nothing heavy is
imported here, so that `--help` and a mistyped option answer at once.
"""

from dataclasses import dataclass

from gan.common.options import (
    choice,
    device_count,
    device_name,
    folder,
    option,
    picture_interval,
    real_number,
    whole_number,
)
from gan.data_options import DataOptions

GROUPS = {
    "data": "what is learned",
    "model": "the two networks",
    "objective": "what the two networks minimise",
    "training": "how long and how fast",
    "output": "what is written, and where",
}
LEARNING_RATE = real_number(1e-12, 1)  # not 0


@dataclass(frozen=True)
class TrainOptions(DataOptions):
    """All options of one training run; see `option` for the meaning of a field."""

    arch: str = choice(
        "auto", "model",
        "dcgan: transposed convolutions (Radford 2015); conv: the same with one more convolution "
        "at full size, which leaves fewer stray pixels; resnet: residual blocks without "
        "normalisation (after R3GAN, Huang 2024); mlp: fully connected layers (Goodfellow 2014); "
        "auto: resnet for images in colour or of more than 32 pixels (without --spectral-norm and "
        "--dropout), otherwise conv",
        ("auto", "conv", "dcgan", "resnet", "mlp"), fixed=True, points="mlp",
    )
    upsampling: str = choice(
        "auto", "model",
        "how conv and dcgan double the side: transposed convolutions alone (plain), or each with a "
        "small filter behind it, which leaves no checkerboard (filtered); auto: filtered for "
        "images in colour or of more than 32 pixels", ("auto", "filtered", "plain"), fixed=True,
    )
    output: str = choice(
        "auto", "model",
        "what brings the generator's values between black and white: tanh, which only comes near "
        "them; bright, a tanh that reaches white; clip, which reaches both; smooth, a clip on a "
        "curve that leaves fewer faint traces on an even background. smooth and clip also remove "
        "them if there are none in the data. auto: for resnet smooth where the background is even, "
        "otherwise clip; for conv smooth where it is even and without faint traces, bright where "
        "it is dark and has some, otherwise tanh; tanh for dcgan and mlp",
        ("auto", "smooth", "clip", "bright", "tanh"), fixed=True,
    )
    latent_dim: int = option(
        64, "model", "length of the latent vector z", whole_number(1, 4096),
        metavar="N", fixed=True, points=4,
    )
    base_channels: int = option(
        None, "model",
        "channels of the layer nearest the image, doubled at each halving of the size; the mlp has "
        "8 times as many units a layer (default: 32; with resnet and 2,000 images or more 24 on a "
        "CPU, and twice as many for images of up to 32 pixels; points: 16)",
        whole_number(1, 1024), metavar="N", fixed=True, points=16, filled=True,
    )
    spectral_norm: bool = option(
        False, "model",
        "spectral normalisation of the discriminator's weights (Miyato 2018)", bool, fixed=True,
    )
    dropout: float = option(
        0.0, "model", "dropout rate of the discriminator's hidden layers",
        real_number(0, 0.9), metavar="X", fixed=True,
    )

    loss: str = choice(
        "nonsaturating", "objective",
        "adversarial loss: cross entropy with the generator maximising log D(G(z)), or, as in the "
        "original, minimising log(1 - D(G(z))) (both Goodfellow 2014); least squares (Mao 2017); "
        "hinge (Lim 2017); Wasserstein (Arjovsky 2017); relativistic (Jolicoeur-Martineau 2018)",
        ("nonsaturating", "minimax", "lsgan", "hinge", "wgan", "relativistic"), fixed=True,
    )
    label_smoothing: float = option(
        0.0, "objective",
        "one-sided label smoothing: the discriminator's target for real images is 1 minus this "
        "(nonsaturating and minimax only)", real_number(0, 0.5), metavar="X", fixed=True,
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
        "more in proportion to the values of larger ones, 1.6 for 64 x 64 x 3, and 4 times as much "
        "with resnet; 10 with wgan-gp)",
        real_number(0, 1e4), metavar="X",
    )
    gp_interval: int = option(
        8, "objective", "compute the gradient penalty every N steps, with N times the weight",
        whole_number(1, 1000), metavar="N", points=4,
    )
    n_critic: int = option(
        1, "objective", "discriminator steps per generator step", whole_number(1, 100), metavar="N",
        fixed=True,
    )
    augment: str = choice(
        "auto", "objective",
        "change real and generated images alike before the discriminator sees them, the more the "
        "surer it is of the real ones (adaptive, Karras 2020); auto: adaptive for fewer than "
        "20,000 images", ("auto", "adaptive", "none"), fixed=True,
    )
    mirror: bool = option(
        False, "objective", "also learn the mirror image of every picture: twice the data", bool,
        fixed=True,
    )
    lr: float = option(
        1.5e-3, "objective", "Adam's learning rate, for both networks", LEARNING_RATE, metavar="X")
    lr_g: float = option(
        None, "objective", "the generator's own learning rate (default: --lr)", LEARNING_RATE,
        metavar="X")
    lr_d: float = option(
        None, "objective", "the discriminator's own learning rate (default: --lr)", LEARNING_RATE,
        metavar="X")
    lr_decay: float = option(
        0.5, "objective",
        "fraction of the run, at its end, over which the learning rates fall linearly to a tenth",
        real_number(0, 1), metavar="X",
    )
    burn_in: float = option(
        0.0, "objective",
        "fraction of the run, at its start, over which the learning rates come down from 4 times, "
        "the penalty's weight from 10 times its value, and beta2 up from ten times the distance "
        "from 1, all on a cosine (Huang 2024)",
        real_number(0, 1), metavar="X",
    )
    beta1: float = option(
        0.0, "objective", "Adam's decay per step of the mean gradient", real_number(0, 0.9999),
        metavar="X", fixed=True,
    )
    beta2: float = option(
        0.99, "objective", "Adam's decay per step of the mean squared gradient",
        real_number(0, 0.999999), metavar="X", fixed=True,
    )

    epochs: int = option(
        None, "training",
        "passes over the data (default: 3, or as many as show 100,000 images, with resnet on a GPU "
        "200,000; points: 30)",
        whole_number(1, 10**6), metavar="N", points=30, filled=True)
    batch_size: int = option(
        None, "training",
        "real images per step, and as many generated ones (default: 64, with resnet 32, on a CPU "
        "16 from 2,000 images on; points: 256)", whole_number(2, 65536), metavar="N", fixed=True,
        points=256, filled=True,
    )
    ema: float = option(
        0.998, "training",
        "decay per step of the exponential moving average (EMA) of the generator's weights, which "
        "draws the pictures and is exported; 0 disables it", real_number(0, 0.999999), metavar="X",
    )
    mixed_precision: str = choice(
        "auto", "training",
        "number format of the layers; auto: float16 on a GPU with tensor cores, bfloat16 on a "
        "CPU that computes with it, float32 otherwise (off)",
        ("auto", "float16", "bfloat16", "off"), fixed=True, points="off",
    )
    device: str = option(
        "auto", "training", "what to compute on; auto: the first GPU if there is one, else the CPU",
        device_name, metavar="{auto,cpu,gpu,gpu:N}",
    )
    devices: int | str = option(
        1, "training",
        "train in so many processes on this machine, each with its own GPU, or its part of the "
        "processor's cores, and its share of every batch; auto: one for each GPU",
        device_count, metavar="N|auto",
    )
    join_timeout: float = option(
        25.0, "training", "seconds that the processes of a run wait for each other at the start",
        real_number(1, 86400), metavar="SECONDS",
    )
    reduce_precision: str = choice(
        "float32", "training",
        "number format in which several processes send each other their gradients; 16 bits halve "
        "the traffic and round the sum", ("float32", "bfloat16", "float16"),
    )
    max_minutes: float = option(
        None, "training",
        "stop training this many minutes after the start of the script, then save, export and "
        "measure, which takes up to a minute more (default: no limit)",
        real_number(0.01, 1e6), metavar="X",
    )
    seed: int = option(
        0, "training", "seed of all random numbers: the same seed gives the same images",
        whole_number(0, 2**31 - 1), metavar="N", fixed=True,
    )
    resume: bool = option(
        False, "training",
        "continue the run in --outdir with its options; a larger --epochs makes a finished run go "
        "on, and learning rates, decays, penalty weight and intervals may be changed", bool,
    )
    overwrite: bool = option(
        False, "training", "delete the run in --outdir and start a new one", bool
    )

    outdir: str = option(
        ".", "output", "folder that everything is written below", folder, metavar="FOLDER"
    )
    num_samples: int = option(
        100, "output", "images in each epoch's picture", whole_number(1, 4096), metavar="N",
        fixed=True, points=2000,
    )
    sample_interval: int | str = option(
        "auto", "output",
        "epochs between two pictures, or with an s (500s) the steps between pictures within the "
        "epochs, besides those after each; auto: after each epoch (of more than 40 after every "
        "second, third, …), and at steps 4, 6, 8, 11, … of the first one, each √2 times the one "
        "before, so that the film shows how it begins",
        picture_interval, metavar="N|Ns|auto", points=1,
    )
    metrics_interval: int = option(
        0, "output",
        "epochs between two measurements of the generated images (Fréchet distance, precision, "
        "recall, …); 0: at the end only, and only if no network has to be trained for it",
        whole_number(0, 10**6), metavar="N", points=1,
    )
    checkpoint_interval: int = option(
        None, "output",
        "epochs between two checkpoints (default: 1, with more than 40 epochs 2, 3, …)",
        whole_number(1, 10**6), metavar="N", filled=True,
    )
    keep_best: bool = option(
        False, "output",
        "export the generator of the best measured epoch, by its Fréchet distance or its fraction "
        "of good points, rather than the last one's (needs --metrics-interval)", bool,
    )
    tensorboard: bool = option(
        False, "output", "write losses and pictures for TensorBoard to OUTDIR/tensorboard", bool
    )
    dry_run: bool = option(
        False, "output", "check everything, print the networks and the plan, and stop", bool
    )
    verbose: bool = option(False, "output", "show TensorFlow's own messages", bool)
