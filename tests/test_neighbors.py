"""Generated images beside their nearest training images: copies are found and shown."""

import numpy as np
import pytest
from PIL import Image

from gan.evaluate import metrics
from gan.evaluate.metrics import NotMeasurableError
from gan.evaluate.neighbors import draw_neighbors, find_neighbors, nearest_images
from tests.conftest import noise


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
