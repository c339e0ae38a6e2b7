"""Metrics of pixels: background, stray pixels, SWD and the two-sample test."""

import numpy as np
import pytest

from benchmarks import two_sample
from gan.data.datasets import Dataset
from gan.evaluate.evaluator import Evaluator
from gan.evaluate.metrics import (
    NotMeasurableError,
    Patches,
    SlicedWasserstein,
    background_share,
    has_small_blob,
    has_stray_pixels,
    laplacian_pyramid,
)
from tests.conftest import draw_shapes


def noise(count, seed=0, size=28, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (count, size, size, 1), dtype=np.uint8)


@pytest.mark.parametrize(("rows", "small"), [
    (["......", ".#....", "......", "......", "......", "......"], True),   # one pixel
    (["#.....", ".#....", "..#...", "...#..", "....#.", ".....#"], True),   # six, by their corners
    (["#.....", ".#....", "..#...", "...#..", "....##", ".....#"], False),  # seven
    (["######", "######", "######", "######", "######", "######"], False),
    (["###...", "###...", "###...", "......", ".....#", "......"], True),   # large and small
    (["#.#.#.", ".#.#.#", "......", "......", "......", "......"], True),   # a zigzag of six
    (["......"] * 6, False),
])
def test_small_blobs_are_found(rows, small):
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    assert has_small_blob(mask[None]).tolist() == [small]


def test_a_long_line_is_no_stray_pixel_however_it_winds():
    mask = np.zeros((1, 9, 40), bool)
    mask[0, ::2] = True
    mask[0, 1, -1] = mask[0, 3, 0] = mask[0, 5, -1] = mask[0, 7, 0] = True
    assert not has_small_blob(mask).any()


def test_background_and_stray_pixels_are_counted():
    images = np.zeros((4, 16, 16, 1), np.uint8)
    images[0, 4:9, 4:9] = 200  # not stray: 25 pixels
    images[1, 2, 2] = 41       # stray: one pixel
    images[2, 2, 2] = 40       # too dim for one
    assert has_stray_pixels(images, np.uint8([0])).tolist() == [False, True, False, False]
    assert background_share(images, np.uint8([0])).mean() == 1 - 27 / (4 * 256)


def test_a_pyramid_adds_up_to_the_images():
    images = noise(3, size=57).astype(np.float32)
    scales = laplacian_pyramid(images)
    assert [scale.shape[1] for scale in scales] == [57, 29, 15]
    weights = np.array([1, 4, 6, 4, 1]) / 16
    rest = scales[-1]
    for scale in scales[-2::-1]:
        larger = np.zeros_like(scale)
        larger[:, ::2, ::2] = 4 * rest
        for axis in (1, 2):
            larger = np.apply_along_axis(
                lambda row: np.convolve(np.pad(row, 2, mode="reflect"), weights, "valid"),
                axis, larger)
        rest = scale + larger
    np.testing.assert_allclose(rest, images, atol=0.05)


def patches_of(images, sizes=(1000,)):
    """`Patches` of images that come in parts of some sizes."""
    patches = Patches(len(images), images.shape[1])
    for part in np.split(images, np.cumsum(sizes)):
        patches.add(part)
    return patches


def swd(real, images, **settings):
    distances = SlicedWasserstein(patches_of(real)).distances(patches_of(images, **settings))
    return distances[0], np.mean(distances[1:]) if distances[1:] else None


def test_patch_distances_see_what_differs_at_a_scale():
    smooth = np.repeat(np.repeat(noise(300, size=7), 4, axis=1), 4, axis=2)
    real, other = smooth[:150], smooth[150:]
    same = swd(real, other)
    assert swd(real, other, sizes=(3, 50)) == same  # whatever parts the images come in
    grain = np.clip(other.astype(int) + noise(150, 5, low=0, high=60) - 30, 0, 255)
    grainy = swd(real, grain.astype(np.uint8))
    dark = swd(real, other // 2)
    assert grainy[0] > 2 * same[0] and grainy[1] < 2 * same[1]
    assert dark[0] > 3 * same[0] and dark[1] > 3 * same[1]


def test_the_patch_distance_of_two_constants_is_their_difference():
    """All patches of a constant image project to one value; sorting changes nothing."""
    real = np.where(np.arange(200)[:, None, None, None] % 2, np.uint8(255), np.uint8(0))
    real = np.broadcast_to(real, (200, 16, 16, 1))
    finest, coarse = swd(real, np.full((200, 16, 16, 1), 255, np.uint8))
    # Half of the real values move by 2 standard deviations times |sum of a direction's
    # weights|, whose mean over random unit vectors of length 49 is about 0.79.
    assert finest == pytest.approx(1000 * 0.79, rel=0.15)
    assert coarse is None  # 16 pixels have one scale


def test_without_images_there_is_no_patch_distance():
    with pytest.raises(NotMeasurableError, match="needs at least 1 sample, got 0"):
        swd(noise(20), noise(0))


def test_area_under_curve_is_the_share_of_pairs_in_order():
    area = two_sample.area_under_curve
    assert area(np.array([3, 4]), np.array([1, 2])) == 1
    assert area(np.array([1, 2]), np.array([3, 4])) == 0
    assert area(np.array([1, 3]), np.array([2])) == 0.5
    assert area(np.array([5, 5, 5]), np.array([5, 5])) == 0.5  # all ties


@pytest.mark.slow
def test_the_two_sample_test_finds_a_difference_only_where_there_is_one():
    images, _ = draw_shapes(600, 0)
    images = images[..., None]
    dimmed = np.where(images[300:] == 0, np.uint8(30), images[300:])  # a background not 0
    told = two_sample.two_sample_test(images[:300], dimmed, trainings=1)
    same = two_sample.two_sample_test(images[:300], images[300:], trainings=1)
    assert told.auc > 0.95
    assert 0.3 < same.auc < 0.7
    assert told.sizes == (222, 22, 55)  # 300 x 20,000, 2,000 and 5,000 of 27,000


def test_a_two_sample_test_of_few_images_is_refused():
    with pytest.raises(ValueError, match="needs at least 100 images of each kind, got 20"):
        two_sample.two_sample_test(noise(20), noise(90))


def test_training_images_compared_with_each_other_are_a_second_reference():
    images, _ = draw_shapes(240, 0)
    evaluator = Evaluator(Dataset("some", images[..., None]))
    split = evaluator.split()
    assert split.keys() >= {"frechet", "precision", "recall", "swd", "background", "stray_pixels"}
    # By the same hand, they are nearer to each other than noise is to any.
    assert split["frechet"] < evaluator.measure(noise(240, size=16))["frechet"] / 5


@pytest.fixture
def by_class(cache):
    """8,000 training and 2,000 test images, all dim ones before all bright ones."""
    def images(count, seed):
        dim = noise(count // 2, seed, 16, high=64)
        return np.concatenate([dim, noise(count // 2, seed + 1, 16, low=64)])

    return Dataset("by class", images(8_000, 0), test_images=images(2_000, 2))


def test_real_images_are_compared_from_all_classes_also_where_they_lie_class_by_class(by_class):
    evaluator = Evaluator(by_class)
    # Patches of 1,024 of them; the first 1,024 would be those of the dim class.
    dim_only = evaluator.measure(by_class.test_images)["swd"]
    assert evaluator.reference()["swd"] < dim_only / 10
    assert evaluator.split()["swd"] < dim_only / 10


def test_generated_images_are_as_many_as_real_ones_where_their_number_matters():
    images, _ = draw_shapes(2_640, 0)
    real, generated = images[:240, ..., None], images[240:, ..., None]
    evaluator = Evaluator(Dataset("some", real))
    many, few = (evaluator.measure(part) for part in (generated, generated[:240]))
    for name in ("precision", "recall", "kid"):
        assert many[name] == few[name]
    assert evaluator.real() == evaluator.split()  # there are no test images
    assert evaluator.real_source() == "40 training images against the others"


def test_real_images_are_said_to_be_test_images_where_there_are_any(by_class):
    assert Evaluator(by_class).real_source() == "2,000 test images"
