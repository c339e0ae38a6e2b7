"""The options of a training run that say what is learned; the others are in `gan.train_options`."""

from dataclasses import dataclass

from gan.common.options import choice, one_of, option, picture_side, real_number, whole_number

FITS = ("crop", "pad", "squash")


@dataclass(frozen=True)
class DataOptions:
    """What is learned, and how it is read; see `option` for the meaning of a field."""

    dataset: str = option(
        "mnist", "data",
        "mnist, fashion_mnist, stacked_mnist; a folder of pictures, or of one folder a class; a "
        ".npz file (x_train [N,H,W] or [N,H,W,C] uint8, and optionally y_train); a .npy file of "
        "images; a folder of IDX files; a folder of shards (python -m gan.shards), which is read "
        "while training; or simulated points: ring, grid, moons, swiss_roll, line",
        metavar="NAME|PATH",
    )
    image_size: int = option(
        None, "data",
        "side in pixels, 16 to 256, that pictures of a folder are brought to "
        "(default: theirs if all are square and of one size up to 128, otherwise 64)",
        picture_side, metavar="N", fixed=True,
    )
    channels: int = option(
        None, "data",
        "1 for grey, 3 for colour, for a folder of pictures (default: 3 if any has colour)",
        one_of(("1", "3"), int), metavar="{1,3}", fixed=True,
    )
    fit: str = choice(
        "crop", "data", "how wide and tall pictures of a folder become square: the middle is cut "
        "out, white is put beside them, or their proportions change", FITS, fixed=True,
    )
    skip_broken: bool = option(
        False, "data", "leave out the pictures of a folder that cannot be used", bool, fixed=True)
    memory_share: float = option(
        0.5, "data",
        "largest part of this machine's memory for the images; if they need more, they are read "
        "from the disk while training, with the same results", real_number(0, 1), metavar="X",
    )
    condition: str = choice(
        "auto", "data",
        "what the networks are conditioned on: each image's label and its k-means cluster within "
        "that label, its cluster among all images, its cluster in each colour plane, or nothing; "
        "auto: labels if there are any, planes for stacked_mnist, clusters otherwise",
        ("auto", "labels", "clusters", "planes", "none"), fixed=True, points="none",
    )
    clusters: int = option(
        None, "data",
        "number of k-means clusters: within each label, among all images, or in each plane "
        "(default: 12 within each label, 256 among all images, 16 in each plane; fewer where a "
        "cluster would have fewer than 16 images)",
        whole_number(1, 4096), metavar="N", fixed=True,
    )
    components: int = option(
        None, "data",
        "what the first N numbers of the latent vector stand for in training: the principal "
        "components of the images within their clusters (default: 8, or 16 for images in colour or "
        "of more than 32 pixels, and one for each 250 images at most; 0: nothing, the generator "
        "finds a meaning for all of them by itself)",
        whole_number(0, 50), metavar="N", fixed=True, points=0,
    )
