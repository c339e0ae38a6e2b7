"""The even background of images, and how the exported generator keeps it clean."""

import numpy as np
import pytest

from gan.data.datasets import Dataset
from gan.data.pixels import Background, find_background
from gan.layers import CleanBackground
from tests.conftest import build


def cleaned(image, contrast, color=(0,)):
    """What the layer makes of gray levels [H, W] or [H, W, C], in gray levels."""
    image = np.asarray(image, np.float32).reshape(*np.shape(image)[:2], -1)
    layer = CleanBackground(color, contrast)
    return ((layer(image[None] / 127.5 - 1).numpy()[0] + 1) * 127.5).squeeze()


def test_digits_stand_out_from_black(mnist):
    """Known from the data: of all pixels but one in 3,000 are of 70 or more, or touch one.

    They stay as they are.
    """
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


def test_a_trace_is_removed_unless_it_touches_something_plain():
    image = np.zeros((8, 12))
    image[1, 1] = 25               # less than half of the contrast
    image[1, 6], image[2, 7] = 60, 25  # the same beside something plain, by a corner
    image[6, 1], image[6, 6] = 45, 59
    expected = image.copy()
    expected[1, 1] = 0
    expected[6, 1] = 45 * (2 * 45 / 60 - 1)
    expected[6, 6] = 59 * (2 * 59 / 60 - 1)
    np.testing.assert_allclose(cleaned(image, 60), expected, atol=1e-4)


def test_colors_are_cleaned_to_the_background_in_all_channels():
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
