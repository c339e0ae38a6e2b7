"""Metrics against their definitions: of features, classes, copies, backgrounds and patches."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import two_sample
from gan.evaluate import metrics
from gan.evaluate.metrics import NotMeasurableError, Patches, sliced_wasserstein
from gan.evaluate.neighbors import draw_neighbors, find_neighbors, nearest_images
from tests.conftest import noise

# --- Features, classes, copies and backgrounds


def test_frechet_distance_of_gaussians_in_closed_form():
    mean, spread = np.array([3.0, -4.0, 0.0]), np.array([2.0, 0.5, 1.0])
    # |m|^2 + sum (1 - s)^2 for commuting covariances I and diag(s^2).
    found = metrics.frechet_distance((np.zeros(3), np.eye(3)), (mean, np.diag(spread**2)))
    assert found == pytest.approx(25 + 1 + 0.25)
    # For 2 x 2 matrices tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2).
    first, second = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    root = np.sqrt(np.trace(first @ second) + 2 * np.sqrt(np.linalg.det(first @ second)))
    found = metrics.frechet_distance((np.zeros(2), first), (np.zeros(2), second))
    assert found == pytest.approx(np.trace(first + second) - 2 * root)
    # One distribution is not away from itself.
    features = np.random.default_rng(0).normal(size=(500, 6))
    features[:, 5] = 0  # a dead feature makes the covariance singular
    same = metrics.statistics(features)
    assert metrics.frechet_distance(same, same) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_the_direct_sum(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 7)
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(20, 3)), random.normal(0.5, 2, (15, 3))

    def mean(first, second):
        return np.mean([(x @ y / 3 + 1) ** 3 for x in first for y in second if x is not y])

    real, fake = list(real), list(fake)
    expected = mean(real, real) + mean(fake, fake) - 2 * mean(real, fake)
    assert metrics.kernel_distance(real, fake) == pytest.approx(expected)


def test_precision_and_recall_against_a_loop():
    random = np.random.default_rng(3)
    real, fake = random.normal(size=(60, 4)), random.normal(0.7, 1, (50, 4))

    def inside(point, points):
        return any(np.linalg.norm(point - other)
                   <= np.sort(np.linalg.norm(points - other, axis=1))[3] for other in points)

    precision = np.mean([inside(point, real) for point in fake])
    recall = np.mean([inside(point, fake) for point in real])
    assert metrics.precision_recall(real, fake) == pytest.approx((precision, recall))


def test_class_metrics_of_known_shares():
    # 60 of class 0 (sure), 40 of class 1 (unsure), none of class 2; class 3 is not in the data.
    probabilities = np.array([[0.95, 0.03, 0.02, 0]] * 60 + [[0.2, 0.6, 0.2, 0]] * 40)
    found = metrics.class_metrics(probabilities, np.array([0.5, 0.3, 0.2, 0]))
    assert found == {"classes": 2, "smallest_class": 0.0, "largest_class": 0.6,
                     "imbalance": pytest.approx(0.2), "confident": pytest.approx(0.6)}


def test_copying_is_seen():
    random = np.random.default_rng(0)
    unseen, honest = random.uniform(0.1, 0.2, (2, 1000))
    copied = np.full(500, 0.001)
    assert metrics.copied_share(copied, unseen) == 1
    assert metrics.nearest_ratio(copied, unseen) < 0.01
    assert metrics.copied_share(honest, unseen) == pytest.approx(0.01, abs=0.01)
    assert metrics.nearest_ratio(honest, unseen) == pytest.approx(1, abs=0.05)
    # A copied test set measures no copying.
    with pytest.raises(NotMeasurableError, match="copies of training images"):
        metrics.nearest_ratio(honest, np.zeros(100))
    with pytest.raises(NotMeasurableError, match="1% or more of the real test images"):
        metrics.copied_share(honest, np.repeat([0.0, 0.2], [2, 98]))


@pytest.mark.parametrize(("rows", "small"), [
    (["......", ".#....", "......", "......", "......", "......"], True),   # one pixel
    (["#.....", ".#....", "..#...", "...#..", "....#.", ".....#"], True),   # six, by their corners
    (["#.....", ".#....", "..#...", "...#..", "....##", ".....#"], False),  # seven
    (["######", "######", "######", "######", "######", "######"], False),
    (["###...", "###...", "###...", "......", ".....#", "......"], True),   # large and small
    (["#.#.#.", ".#.#.#", "......", "......", "......", "......"], True),   # a zigzag of six
    (["......"] * 6, False),
    # A line of 53 pixels, however it winds.
    (["#" * 10, " " * 9 + "#", "#" * 10, "#" + " " * 9, "#" * 10, " " * 9 + "#", "#" * 10], False),
])
def test_small_blobs_are_found(rows, small):
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    assert metrics.has_small_blob(mask[None]).tolist() == [small]


def test_background_and_stray_pixels_are_counted():
    images = np.zeros((4, 16, 16, 1), np.uint8)
    images[0, 4:9, 4:9] = 200  # not stray: 25 pixels
    images[1, 2, 2] = 41       # stray: one pixel
    images[2, 2, 2] = 40       # too dim for one
    assert metrics.has_stray_pixels(images, np.uint8([0])).tolist() == [False, True, False, False]
    assert metrics.background_share(images, np.uint8([0])).mean() == 1 - 27 / (4 * 256)


# --- Patches


def test_a_pyramid_adds_up_to_the_images():
    images = noise(3, size=70)[:, :57].astype(np.float32)
    scales = metrics.laplacian_pyramid(images)
    assert [scale.shape[1:3] for scale in scales] == [(57, 70), (29, 35), (15, 18)]
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
    """Patches of images that come in parts of some sizes."""
    patches = Patches(len(images), images.shape[1:])
    for part in np.split(images, np.cumsum(sizes)):
        patches.add(part)
    return patches.scales()


def swd(real, images, **settings):
    return sliced_wasserstein(patches_of(real), patches_of(images, **settings))


def test_patch_distances_see_what_differs_at_a_scale():
    smooth = np.repeat(np.repeat(noise(300, size=7), 4, axis=1), 4, axis=2)
    real, other = smooth[:150], smooth[150:]
    same = swd(real, other)
    assert swd(real, other, sizes=(3, 50)) == same  # whatever parts the images come in
    grain = np.clip(other.astype(int) + noise(150, 5, 28, high=60) - 30, 0, 255)
    grainy, dark = swd(real, grain.astype(np.uint8)), swd(real, other // 2)
    assert grainy[0] > 2 * same[0] and grainy[1] < 2 * same[1]
    assert dark[0] > 3 * same[0] and dark[1] > 3 * same[1]


def test_the_patch_distance_of_two_constants_is_their_difference():
    """All patches of a constant image project to one value; sorting changes nothing."""
    real = np.where(np.arange(200)[:, None, None, None] % 2, np.uint8(255), np.uint8(0))
    real = np.broadcast_to(real, (200, 16, 40, 1))
    finest, = swd(real, np.full((200, 16, 40, 1), 255, np.uint8))  # 16 pixels have one scale
    # Half of the real values move by 2 standard deviations times |sum of a direction's
    # weights|, whose mean over random unit vectors of length 49 is about 0.79.
    assert finest == pytest.approx(1000 * 0.79, rel=0.15)


def test_sides_that_do_not_divide_are_cut_before_squares_are_averaged():
    image = np.arange(50)[:, None] * np.ones(50)
    found = metrics.shrink(np.stack([image, image.T], axis=-1)[None].repeat(2, axis=3)[..., :3])
    assert found.shape == (1, 16, 16, 3)  # cells of 3 pixels, one row left out on each side
    np.testing.assert_array_equal(found[0, :, 0, 0], np.arange(16) * 3 + 2)
    wide = metrics.shrink(np.stack([image.repeat(2, axis=1)] * 2)[..., None])
    assert wide.shape == (2, 16, 33, 1)
    np.testing.assert_array_equal(wide[0, :, 0, 0], np.arange(16) * 3 + 2)


def test_area_under_curve_is_the_share_of_pairs_in_order():
    area = two_sample.area_under_curve
    assert area(np.array([3, 4]), np.array([1, 2])) == 1
    assert area(np.array([1, 3]), np.array([2])) == 0.5
    assert area(np.array([5, 5, 5]), np.array([5, 5])) == 0.5  # all ties


# --- Neighbors: generated images beside their nearest training images


@pytest.mark.parametrize("values", [10**6, 3 * 256])
def test_the_nearest_are_those_of_a_direct_sum(monkeypatch, values):
    monkeypatch.setattr(metrics, "VALUES", values)  # three references at a time
    images, references = noise(4, 0), noise(20, 1)
    images[0] = references[7]
    found = nearest_images(images, references, 5)
    differences = images[:, None] / 255 - references[None] / 255
    expected = np.sqrt(np.square(differences).mean(axis=(2, 3, 4)))
    np.testing.assert_array_equal(found.places, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1)[:, :5], rtol=1e-5)
    assert found.distances[0, 0] == 0
    chosen = np.array([2, 7])  # An image itself does not count where it is known.
    assert nearest_images(references[chosen], references, 1).distances.tolist() == [[0], [0]]
    others = nearest_images(references[chosen], references, 1, chosen)
    assert (others.distances > 0.01).all() and not (others.places[:, 0] == chosen).any()


def blobs(count, seed):
    """Smooth color images, which a shift by a pixel changes little."""
    small = noise(count, seed, 4, channels=3)
    return np.stack([np.asarray(Image.fromarray(image).resize((32, 32), 3)) for image in small])


@pytest.mark.parametrize("change", [
    lambda images: np.roll(images, 1, axis=2),
    lambda images: np.clip(images + np.random.default_rng(9).normal(0, 25, images.shape), 0, 255
                           ).astype(np.uint8),
    lambda images: (images * 0.9 + 10).astype(np.uint8),
], ids=["shifted", "noisy", "paler"])
def test_changed_copies_are_found(change):
    training = blobs(400, 0)
    near, halves = find_neighbors(change(training[:50]), training)
    assert (halves[0][1][:, 0] == np.arange(10)).all()
    assert near.times_training < 0.5


def test_images_of_the_same_kind_are_as_near_as_real_ones():
    near, _ = find_neighbors(blobs(300, 1), blobs(400, 0))
    assert near.times_training == pytest.approx(1, abs=0.1)
    assert f"{near.times_training:.2f} times that of training images to each other" in str(near)


def test_the_few_copies_come_first_and_simple_images_do_not():
    training = blobs(200, 0)
    plain = np.full((60, 32, 32, 3), 128, np.uint8)
    plain[:, 0, 0, 0] = np.arange(60)  # near each other, as images of an empty sky are
    training = np.concatenate([training, plain])
    generated = np.concatenate([blobs(100, 1), plain[:40] + 1, training[[17, 150]]])
    _, ((first, _), (images, places)) = find_neighbors(generated, training)
    assert places[:2, 0].tolist() == [17, 150]
    np.testing.assert_array_equal(images[:2], training[[17, 150]])
    np.testing.assert_array_equal(first, generated[:10])


def test_copied_real_images_give_no_multiple():
    near, _ = find_neighbors(noise(20, 1), np.repeat(noise(4, 0), 2, axis=0))
    assert near.times_training is None
    assert "most real images are copies of training images" in str(near)
    with pytest.raises(NotMeasurableError, match="at least 2 samples, got 1"):
        find_neighbors(noise(20, 1), noise(1, 0))


def test_mirrored_copies_are_seen_where_mirror_images_were_learned(tmp_path):
    images = noise(40, size=8)
    for mirror in (False, True):
        near = draw_neighbors(tmp_path / "grid.png", images[:, :, ::-1], images, mirror)
        assert (near.median_distance == 0) == mirror
    assert Image.open(tmp_path / "grid.png").size[0] > 500
