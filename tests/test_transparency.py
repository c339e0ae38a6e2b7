"""Transparent pictures and even backgrounds: what networks, metrics and files make of them."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan import convert, project
from gan.data.datasets import Dataset, from_arrays, load_dataset
from gan.data.pixels import Background, find_background, on_grounds, premultiplied
from gan.data.sample_types import Images
from gan.drawing.animations import write_animation
from gan.drawing.images import BACKGROUND, read_png
from gan.layers import CleanBackground
from gan.playground import __main__ as playground
from tests.conftest import QUICK, TINY, build
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


def cleaned(image, contrast, color=(0,)):
    """What the layer makes of gray levels [H, W] or [H, W, C], in gray levels."""
    image = np.asarray(image, np.float32).reshape(*np.shape(image)[:2], -1)
    layer = CleanBackground(color, contrast)
    return ((layer(image[None] / 127.5 - 1).numpy()[0] + 1) * 127.5).squeeze()


def test_digits_stand_out_from_black_and_stay_as_they_are(mnist):
    """Known from the data: of all pixels but one in 3,000 are of 70 or more, or touch one."""
    found = find_background(mnist.images)
    assert found.color == (0,) and found.plain
    assert 65 < found.contrast < 75
    images = mnist.images[:500]
    layer = CleanBackground(*find_background(images))
    after = np.rint((layer(images / np.float32(127.5) - 1).numpy() + 1) * 127.5)
    assert 0 < (after != images).sum() <= (images > 0).sum() / 3_000


def test_contrast_is_that_of_the_plainest_pixel_around_each():
    images = np.full((10, 16, 16, 3), [200, 7, 255], np.uint8)  # the most frequent color
    images[:, 4:9, 4:9] = [200, 87, 255]  # 80 in green
    images[:, 3, 4:9] = [205, 12, 250]    # their edge
    assert find_background(images) == Background((200, 7, 255), 80.0)


@pytest.mark.parametrize(("place", "shades", "expected"), [
    ((0, 20, slice(0, 4)), 9, Background((0,), 9)),  # faint pixels of their own
    # Not even.
    (..., np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(2, 0).repeat(2, 1), None),
    (..., 0, Background((0,), 0)),  # nothing else
])
def test_other_backgrounds_are_not_plain(place, shades, expected):
    images = np.zeros((4, 32, 32), np.uint8)
    images[:, 4:10, 4:10] = 200
    found = find_background(images[..., None])
    assert found == Background((0,), 200.0) and found.plain
    images[place] = shades
    found = find_background(images[..., None])
    assert found == expected and not (found and found.plain)


def test_a_trace_is_removed_in_all_channels_unless_it_touches_something_plain():
    image = np.zeros((8, 12))
    image[1, 1] = 25               # less than half of the contrast
    image[1, 6], image[2, 7] = 60, 25  # the same beside something plain, by a corner
    image[6, 1], image[6, 6] = 45, 59
    expected = image.copy()
    expected[1, 1] = 0
    expected[6, 1] = 45 * (2 * 45 / 60 - 1)
    expected[6, 6] = 59 * (2 * 59 / 60 - 1)
    np.testing.assert_allclose(cleaned(image, 60), expected, atol=1e-4)
    image = np.full((6, 6, 3), [255, 200, 100.0])
    image[1, 1] = [250, 195, 105]
    image[4, 4] = [250, 100, 105]
    expected = np.full((6, 6, 3), [255, 200, 100.0])
    expected[4, 4] = image[4, 4]
    np.testing.assert_allclose(cleaned(image, 50, (255, 200, 100)), expected, atol=1e-4)


@pytest.mark.parametrize(("output", "clean"), [("smooth", True), ("clip", True), ("tanh", False)])
def test_only_the_average_is_cleaned_and_never_the_textbooks(mnist, output, clean):
    dataset = Dataset("digits", mnist.images[:64])
    state = build(dataset, "--output", output, "--condition", "none").state
    last = [network.layers[-1].name for network in (state.generator, state.ema)]
    assert last == ["images", "clean_background" if clean else "images"]
