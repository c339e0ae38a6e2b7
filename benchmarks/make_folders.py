"""The folders of pictures that docs/benchmarks.md measures, from three Debian packages.

    apt-get install oxygen-icon-theme mate-backgrounds dataset-fashion-mnist
    python benchmarks/make_folders.py folders

makes folders/icons (621 icons with transparency, by kind; three are too small for
64 pixels), folders/photos (3,840 tiles of twelve photographs of nature) and
folders/fashion_rgb (12,000 clothes in random colors, by kind).
"""

import argparse
import colorsys
import shutil
from pathlib import Path

import common  # noqa: F401  (the way to the package)
import numpy as np
from PIL import Image

from gan.data.datasets import load_dataset

ICONS = Path("/usr/share/icons/oxygen/base")
PHOTOS = Path("/usr/share/backgrounds/mate/nature")
CLOTHES = "/usr/share/datasets/fashion-mnist"
TILES = 320  # of each photograph
TILE, CLOTH, GROUND = 96, 80, 100  # pixels: of a tile; of clothes, on a ground of so many
CLOTHES_COUNT = 12_000


def copy_icons(target):
    """Copy each icon of 64 pixels, and those of 128 that there are in no 64."""
    for size in ("64x64", "128x128"):
        for path in sorted(ICONS.glob(f"{size}/*/*.png")):
            copy = target / path.parent.name / path.name
            if not path.is_symlink() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)


def cut_tiles(target, random):
    """Cut squares of random size out of photographs, at random places."""
    target.mkdir(parents=True)
    for number, path in enumerate(sorted(PHOTOS.glob("*.jpg"))):
        photo = Image.open(path).convert("RGB")
        width, height = photo.size
        for tile in range(TILES):
            side = int(random.uniform(0.18, 0.5) * height)
            left, top = random.integers(0, width - side + 1), random.integers(0, height - side + 1)
            part = photo.crop((left, top, left + side, top + side))
            part.resize((TILE, TILE), Image.Resampling.LANCZOS).save(
                target / f"{number:02d}_{tile:03d}.jpg", quality=92)


def color_clothes(target, random):
    """Give clothes and the ground behind them random colors."""
    clothes = load_dataset(CLOTHES)
    margin = (GROUND - CLOTH) // 2
    for number in range(CLOTHES_COUNT):
        cloth = Image.fromarray(clothes.images[number, ..., 0])
        gray = np.asarray(cloth.resize((CLOTH, CLOTH), Image.Resampling.BICUBIC), np.float32) / 255
        gray = np.pad(gray, ((0, 0), (margin, margin)))[..., None]
        color, ground = (np.array(colorsys.hsv_to_rgb(
            random.random(), random.uniform(*saturation), random.uniform(*value)))
            for saturation, value in (((0.3, 1), (0.5, 1)), ((0, 0.4), (0.6, 1))))
        covered = np.clip(4 * gray, 0, 1)
        pixels = np.clip(covered * gray**0.7 * color + (1 - covered) * ground, 0, 1)
        folder = target / str(clothes.labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * pixels).astype(np.uint8)).save(
            folder / f"{number:05d}.jpg", quality=92)


def main():
    """Make the folders."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("target", type=Path, help="a folder that does not exist yet")
    target = arguments.parse_args().target
    target.mkdir(parents=True)
    random = np.random.default_rng(0)
    copy_icons(target / "icons")
    cut_tiles(target / "photos", random)
    color_clothes(target / "fashion_rgb", random)


if __name__ == "__main__":
    main()
