"""Generated images beside their nearest training images: copies are found and shown."""

import json

import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.data.datasets import Dataset
from gan.drawing.images import BACKGROUND, GAP, neighbor_grid
from gan.evaluate import __main__ as evaluate
from gan.evaluate import metrics
from gan.evaluate.metrics import NotMeasurableError
from gan.evaluate.neighbours import find_neighbours, in_words, nearest_images


def noise(count, seed, shape=(16, 16, 1)):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


@pytest.mark.parametrize("values", [10**6, 3 * 256])
def test_the_nearest_are_those_of_a_direct_sum(monkeypatch, values):
    monkeypatch.setattr(metrics, "VALUES", values)  # three references at a time
    images, references = noise(4, 0), noise(20, 1)
    found = nearest_images(images, references, 5)
    differences = images[:, None] / 255 - references[None] / 255
    expected = np.sqrt(np.square(differences).mean(axis=(2, 3, 4)))
    np.testing.assert_array_equal(found.places, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1)[:, :5], rtol=1e-5)


def test_an_image_itself_does_not_count_where_it_is_known():
    references = noise(9, 0)
    chosen = np.array([2, 7])
    assert nearest_images(references[chosen], references, 1).distances.tolist() == [[0], [0]]
    others = nearest_images(references[chosen], references, 1, chosen)
    assert (others.distances > 0.2).all() and not (others.places[:, 0] == chosen).any()


def test_copies_have_the_distance_zero_whatever_the_size():
    references = noise(30, 0, (64, 64, 3))
    found = nearest_images(references[[4, 29]], references, 3)
    assert found.distances[:, 0].tolist() == [0, 0] and found.places[:, 0].tolist() == [4, 29]


def blobs(count, seed):
    """Smooth colour images, which a shift by a pixel changes little."""
    small = noise(count, seed, (4, 4, 3))
    return np.stack([np.asarray(Image.fromarray(image).resize((32, 32), 3)) for image in small])


@pytest.mark.parametrize("change", [
    lambda images: np.roll(images, 1, axis=2),
    lambda images: np.clip(images + np.random.default_rng(9).normal(0, 25, images.shape), 0, 255
                           ).astype(np.uint8),
    lambda images: (images * 0.9 + 10).astype(np.uint8),
], ids=["shifted", "noisy", "paler"])
def test_changed_copies_are_found(change):
    training = blobs(400, 0)
    found = find_neighbours(change(training[:50]), training)
    assert (found.typical[1].places[:, 0] == np.arange(10)).all()
    assert found.training_ratio < 0.5


def test_images_of_the_same_kind_are_as_near_as_real_ones():
    found = find_neighbours(blobs(300, 1), blobs(400, 0), blobs(200, 2))
    assert found.training_ratio == pytest.approx(1, abs=0.1)
    assert found.test_ratio == pytest.approx(1, abs=0.1)
    assert "1.0" in in_words(found) or "0.9" in in_words(found)


def test_the_few_copies_come_first_and_simple_images_do_not():
    training = blobs(200, 0)
    plain = np.full((60, 32, 32, 3), 128, np.uint8)
    plain[:, 0, 0, 0] = np.arange(60)  # near each other, as images of an empty sky are
    training = np.concatenate([training, plain])
    generated = np.concatenate([blobs(100, 1), plain[:40] + 1, training[[17, 150]]])
    found = find_neighbours(generated, training)
    images, nearest = found.nearest
    assert nearest.places[:2, 0].tolist() == [17, 150]
    np.testing.assert_array_equal(images[:2], training[[17, 150]])
    np.testing.assert_array_equal(found.typical[0], generated[:10])


def test_copied_real_images_give_no_multiple():
    training = np.repeat(noise(4, 0), 2, axis=0)
    found = find_neighbours(noise(20, 1), training)
    assert found.training_ratio is None
    assert "most real images are copies of training images" in in_words(found)
    with pytest.raises(NotMeasurableError, match="at least 2 samples, got 1"):
        find_neighbours(noise(20, 1), training[:1])


def test_the_sheet_has_images_at_the_left_of_gaps():
    black = np.zeros((3, 2, 8, 8, 1), np.uint8)
    halves = [(black[:, 0] + shade, black + shade + 1) for shade in (10, 20)]
    halves[1] = tuple(part[:2] for part in halves[1])  # a row less
    sheet = neighbor_grid(halves)[..., 0]
    factor = sheet.shape[0] // (3 * (8 + GAP) + GAP)
    small = sheet[::factor, ::factor]
    row = small[GAP + 4]
    runs = [int(row[start]) for start in np.flatnonzero(np.diff(row, prepend=-1)) if
            row[start] != BACKGROUND]
    assert runs == [10, 11, 11, 20, 21, 21]
    gaps = np.diff(np.flatnonzero(row != BACKGROUND))
    assert sorted(gaps[gaps > 1] - 1) == [GAP, GAP, 2 * GAP + 2, 2 * GAP + 2, 2 * GAP + 8]
    last = small[GAP + 2 * (8 + GAP) + 4]
    assert set(last.tolist()) == {10, 11, BACKGROUND}


@pytest.fixture
def command(monkeypatch, tiny_run, tiny_npz, tmp_path, tensorflow):
    """A function that runs gan.evaluate with a generator that knows only training images."""
    training = np.load(tiny_npz)["x_train"][..., None]

    class Copier:
        def __init__(self, path):
            self.path = path

        def sample(self, seeds):
            return training[np.asarray(seeds) % len(training)]

    def run(*arguments):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(evaluate, "SavedGenerator", Copier)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["evaluate", "--model", str(tiny_run[0]), "--num-images",
                                         "100", *arguments])
        return evaluate.main()

    return run


def test_a_generator_of_training_images_is_shown_to_copy(command, tiny_npz, tmp_path, capsys):
    assert command("--json", "found.json", "--neighbours") == 0
    said = capsys.readouterr().out
    assert ("neighbours  neighbours.png: median distance to the nearest training image 0.0000 of "
            "the pixel range, 0.00 times that of training images to each other, 0.00 times that "
            "of test images") in said
    assert json.loads((tmp_path / "found.json").read_text())["nearest"] == {
        "median_distance": 0.0, "times_training": 0.0, "times_test": 0.0}
    sheet = np.asarray(Image.open(tmp_path / "neighbours.png"))
    factor = sheet.shape[0] // (10 * (16 + GAP) + GAP)
    small = sheet[::factor, ::factor]
    training = np.load(tiny_npz)["x_train"]
    for row in range(10):
        top, beside = GAP + row * (16 + GAP), GAP + 16 + GAP + 4 + GAP
        np.testing.assert_array_equal(small[top : top + 16, GAP : GAP + 16], training[row])
        np.testing.assert_array_equal(small[top : top + 16, beside : beside + 16], training[row])


def test_mirrored_copies_are_seen_where_mirror_images_were_learned(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    mirrored = images[:, :, ::-1]
    for mirror, words in ((False, "median distance"), (True, "pixel range, 0.00 times")):
        found = evaluate.write_neighbours(tmp_path / "sheet.png", Dataset("some", images),
                                          mirrored, mirror)
        assert (found["nearest"]["median_distance"] == 0) == mirror
        assert words in capsys.readouterr().out


def test_a_picture_that_exists_is_kept(command, tmp_path):
    (tmp_path / "mine.png").write_text("precious")
    with pytest.raises(UserError, match="mine.png exists; expected --force"):
        command("--neighbours", "mine.png")
    assert (tmp_path / "mine.png").read_text() == "precious"
    assert command("--neighbours", "mine.png", "--force") == 0
    assert Image.open(tmp_path / "mine.png").size[0] > 500


def test_points_have_no_neighbours_to_show(command, monkeypatch):
    monkeypatch.setattr(evaluate, "read_metadata",
                        lambda path: {"config": {"dataset": "ring"}, "sample_shape": [2]})
    with pytest.raises(UserError, match="^--neighbours needs a generator of images, got one of "
                       "points$"):
        command("--neighbours")


def test_sides_that_do_not_divide_are_cut_before_squares_are_averaged():
    from gan.evaluate.metrics import shrink

    image = np.arange(50)[:, None] * np.ones(50)
    found = shrink(np.stack([image, image.T], axis=-1)[None].repeat(2, axis=3)[..., :3])
    assert found.shape == (1, 16, 16, 3)  # cells of 3 pixels, one row left out on each side
    np.testing.assert_array_equal(found[0, :, 0, 0], np.arange(16) * 3 + 2)
    np.testing.assert_array_equal(shrink(np.zeros((1, 251, 251, 1), np.uint8)).shape,
                                  (1, 31, 31, 1))
