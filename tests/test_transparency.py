"""Transparent pictures: what networks, metrics, files and pages make of RGBA."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan import convert, project
from gan.data.datasets import from_arrays, load_dataset
from gan.data.pixels import find_background, on_grounds, premultiplied
from gan.data.sample_types import Images
from gan.drawing.animations import write_animation
from gan.drawing.images import BACKGROUND, read_png
from gan.playground import __main__ as playground
from tests.conftest import QUICK, TINY
from tests.test_augment import IMAGES, changed
from tests.test_pictures import write

# Half transparent red, opaque blue, and yellow that nobody sees.
PIXELS = np.array([[[[255, 0, 0, 128], [0, 0, 200, 255], [255, 255, 0, 0]]]], np.uint8)


def shapes(count, size=16):
    """Half transparent white squares and opaque black ones: uint8 [N, size, size, 4]."""
    random = np.random.default_rng(0)
    images = np.zeros((count, size, size, 4), np.uint8)
    for image in images:
        top, left = random.integers(0, size - 8, 2)
        color = random.choice([[255, 255, 255, 128], [0, 0, 0, 255]])
        image[top : top + 8, left : left + 8] = color
    return images


@pytest.fixture
def folder(tmp_path):
    for number, image in enumerate(shapes(64)):
        write(tmp_path / "shapes" / f"{number:02d}.png", image)
    return tmp_path / "shapes"


def test_networks_and_metrics_see_premultiplied_color():
    seen = (Images.to_floats(tf.constant(PIXELS)).numpy() + 1) * 127.5
    np.testing.assert_allclose(
        seen, [[[[128, 0, 0, 128], [0, 0, 200, 255], [0, 0, 0, 0]]]], atol=1e-4)
    back = Images.to_stored(Images.to_floats(tf.constant(PIXELS))).numpy()
    np.testing.assert_array_equal(back[..., :2, :], PIXELS[..., :2, :])
    assert back[0, 0, 2].tolist() == [0, 0, 0, 0]
    assert premultiplied(PIXELS)[0, 0].tolist() == [
        [128, 0, 0, 128], [0, 0, 200, 255], [0, 0, 0, 0]]
    np.testing.assert_allclose(premultiplied(PIXELS / 255) * 255, premultiplied(PIXELS), atol=0.5)
    assert on_grounds(PIXELS)[0, 0].tolist() == [
        [255, 127, 127, 128, 0, 0], [0, 0, 200, 0, 0, 200], [255, 255, 255, 0, 0, 0]]
    opaque = np.zeros((2, 3, 3, 3), np.uint8)
    assert on_grounds(opaque) is opaque and premultiplied(opaque) is opaque


def test_the_background_is_what_nobody_sees():
    images = shapes(50)
    images[..., :3][images[..., 3] == 0] = np.random.default_rng(1).integers(0, 256, 3)
    assert find_background(images) == ((0, 0, 0, 0), 128)


def test_augmentation_recolors_what_is_visible():
    opaque, made = IMAGES[:1], {"brightness": 0.8, "contrast": 0.3}
    recolored = changed(opaque, **made)
    assert abs(recolored - opaque).max() > 0.05
    for alpha in (1.0, 0.25, 0.0):
        def laid(colors, alpha=alpha):
            solid = np.full_like(colors[..., :1], 2 * alpha - 1)
            return np.concatenate([alpha * (colors + 1) - 1, solid], axis=-1)

        np.testing.assert_allclose(changed(laid(opaque), **made), laid(recolored), atol=1e-5)


def test_pictures_keep_or_lose_transparency_with_a_word(folder, capsys):
    flat = load_dataset(str(folder))
    assert flat.sample_shape == (16, 16, 3)
    assert "which are laid on gray; --channels 4 keeps them" in capsys.readouterr().out
    clear = load_dataset(str(folder), channels=4)
    assert "transparent" not in capsys.readouterr().out
    np.testing.assert_array_equal(clear.images, shapes(64))
    np.testing.assert_array_equal(
        from_arrays("x", "x.npz", {"images": shapes(64)}).images, clear.images)


def test_gray_with_alpha_margins_and_scaling(tmp_path):
    for number in range(2):
        picture = Image.new("LA", (64, 32), (100, 255))
        picture.paste((255, 0), (0, 0, 32, 32))  # white, but not to be seen
        picture.save(tmp_path / f"{number}.png")
    image = load_dataset(str(tmp_path), image_size=16, channels=4, fit="pad").images[0]
    assert image.shape == (16, 16, 4)
    assert not image[:4, :, 3].any() and not image[4:12, :8, 3].any()
    assert (image[4:12, 8:] == [100, 100, 100, 255]).all()  # nothing of the white


def test_animations_clear_what_was_drawn_before(tmp_path):
    frames = np.zeros((3, 24, 24, 4), np.uint8)
    for number, frame in enumerate(frames):
        frame[8:16, 8 * number : 8 * number + 8] = [200, 0, 0, 255]
        frame[10, 8 * number + 2] = 0  # a hole, which no cropping removes
    for name in ("a.gif", "a.webp", "a.png"):
        write_animation(tmp_path / name, iter(frames), [0.1] * 3)
        with Image.open(tmp_path / name) as animation:
            for number, frame in enumerate(frames):
                animation.seek(number)
                shown = np.asarray(animation.convert("RGBA"))
                np.testing.assert_array_equal(shown[..., 3], frame[..., 3])


def test_a_run_with_transparency_to_its_files_and_pages(folder, trained, succeed, tmp_path):
    trained("--dataset", folder, "--channels", 4, *TINY, *QUICK)
    shown = read_png(tmp_path / "generated_images/epoch_0001.png")
    assert shown.shape[-1] == 4 and (shown[0, 0] == [BACKGROUND] * 3 + [255]).all()
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]["generated"]
    assert {"frechet", "swd", "recall"} <= set(metrics)

    succeed("generate.py", "--num-images", 4, "--outdir", "drawn")
    (path, *_) = sorted((tmp_path / "drawn").glob("*.png"))
    assert Image.open(path).mode == "RGBA"
    succeed("generate.py", "--num-images", 4, "--output", "x.npz")
    images = np.load(tmp_path / "x.npz")["images"]
    np.testing.assert_array_equal(images[0], read_png(path))
    assert 0 < images[..., 3].mean() < 255
    succeed("make_gif.py")
    assert Image.open(tmp_path / "training.gif").convert("RGBA").getpixel((0, 0))[3] == 255

    assert playground.main(["--output", "page.html"]) == 0
    assert convert.main(["--to", "litert"]) == 0
    assert project.main([str(path), "--steps", "5"]) == 0
