"""Features for images without labels: learned from the data, or Inception's."""

import colorsys
import json
import re

import numpy as np
import pytest

from gan.common.errors import UserError, run_script
from gan.data.datasets import Dataset
from gan.evaluate import __main__ as evaluate
from gan.evaluate import features, metrics, networks
from tests import conftest

COLOURS = ((220, 60, 40), (60, 200, 70), (70, 90, 230))


def coloured_shapes(count, seed):
    """Red squares, green crosses and blue rings of 16 pixels: uint8 images, int kinds."""
    random = np.random.default_rng(seed)
    images = np.full((count, 16, 16, 3), 30, np.uint8)
    kinds = random.integers(0, 3, count)
    rows, columns = np.mgrid[:16, :16]
    for image, kind in zip(images, kinds, strict=True):
        size = random.integers(6, 9)
        top, left = random.integers(1, 7, 2)
        down, across = rows - top, columns - left
        inside = (down >= 0) & (down < size) & (across >= 0) & (across < size)
        radius = np.hypot(down - size / 2, across - size / 2)
        shape = (inside, inside & ((down == size // 2) | (across == size // 2)),
                 (radius < size / 2) & (radius > size / 4))[kind]
        image[shape] = COLOURS[kind] + random.integers(-30, 25, 3)
    return images, kinds


def blurred(images):
    """Each pixel the mean of the nine around it."""
    wide = np.pad(images.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    parts = [wide[:, y : y + 16, x : x + 16] for y in range(3) for x in range(3)]
    return np.rint(np.mean(parts, axis=0)).astype(np.uint8)


def hue_turned(images):
    """Every colour a twelfth of the way around the wheel."""
    colours, places = np.unique(images.reshape(-1, 3), axis=0, return_inverse=True)
    turned = []
    for colour in colours / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        turned.append(colorsys.hsv_to_rgb((hue + 1 / 12) % 1, saturation, value))
    return np.rint(255 * np.array(turned)).astype(np.uint8)[places.ravel()].reshape(images.shape)


@pytest.fixture(scope="module")
def shapes():
    return Dataset("shapes", coloured_shapes(1200, 0)[0])


@pytest.fixture(scope="module")
def network(shapes, tensorflow):
    """What learned from the shapes, in half of the steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "STEPS", 200)
        return networks.train_encoder(shapes)


@pytest.fixture
def few_steps(monkeypatch, tmp_path, tensorflow):
    """Trainings too short to learn anything, and a cache of their own."""
    monkeypatch.setattr(networks, "STEPS", 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def distances(extract, real, others):
    """Fréchet distances of sets of images to the real ones."""
    known = metrics.statistics(extract(real))
    return {name: metrics.frechet_distance(metrics.statistics(extract(images)), known)
            for name, images in others.items()}


def test_the_loss_is_that_of_the_paper(tensorflow):
    first, second = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    vectors = np.concatenate([first, second]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = []
    for i in range(6):
        j = (i + 3) % 6
        terms = {k: np.exp(vectors[i] @ vectors[k] / 0.3) for k in range(6) if k != i}
        losses.append(-np.log(terms[j] / sum(terms.values())))
    assert float(networks.nt_xent(first, second, 0.3)) == pytest.approx(np.mean(losses), 1e-5)


def test_views_change_the_image_but_not_its_hue(tensorflow):
    random = np.random.default_rng(0)
    plain = np.broadcast_to(random.uniform(-0.8, 0.8, (40, 1, 1, 3)), (40, 16, 16, 3))
    draws = random.random((40, networks.VIEW_DRAWS), np.float32)
    shown = networks.views(tensorflow.constant(plain, tensorflow.float32), draws).numpy()
    covered = (shown == 0).all(axis=3)
    assert 10 < covered.any(axis=(1, 2)).sum() < 30 and covered.mean() < 0.1
    # A colour less its grey has the direction of its hue and the length of its saturation.
    before, after = (colours - colours.mean(axis=3, keepdims=True) for colours in (plain, shown))
    lengths = np.linalg.norm(before, axis=3), np.linalg.norm(after, axis=3)
    cosines = (before * after).sum(axis=3)[~covered] / (lengths[0] * lengths[1])[~covered]
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    assert np.abs(shown - plain)[~covered].max() > 0.05  # the light changed


def test_views_move_what_they_show(tensorflow):
    dot = np.zeros((200, 17, 17, 1), np.float32)
    dot[:, 8, 3] = 1
    draws = np.random.default_rng(0).random((200, networks.VIEW_DRAWS), np.float32)
    draws[:, 5:7], draws[:, 7] = 0.5, 0.99  # in the same light, uncovered
    shown = networks.views(dot, draws).numpy()
    assert np.isfinite(shown).all()
    places = np.einsum("nyxc,x->n", shown, np.arange(17)) / shown.sum(axis=(1, 2, 3))
    assert 60 < (places > 8).sum() < 140  # about half are mirrored
    assert np.ptp(places[places < 8]) > 2


@pytest.mark.parametrize(("size", "channels"), [(16, 3), (28, 1), (100, 3)])
def test_the_encoder_takes_every_size(tensorflow, size, channels):
    encoder = networks.build_encoder((size, size, channels))
    assert encoder.output_shape == (None, 128)
    assert encoder.layers[-3].output.shape[1] <= 8


def test_a_training_is_a_function_of_its_seed(few_steps):
    data = Dataset("shapes", coloured_shapes(200, 3)[0])
    first, second = (networks.train_encoder(data) for _ in range(2))
    weights = [found.network.get_weights() for found in (first, second)]
    for mine, same in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, same)
    assert first.accuracy == second.accuracy


def test_features_have_the_scale_of_the_data(network, shapes):
    found = network.extract(shapes.images)[0]
    assert found.shape == (1200, 128) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert found.var(axis=0).sum() == pytest.approx(1, abs=1e-3)
    expected = metrics.statistics(found)
    for kept, now in zip(network.statistics, expected, strict=True):
        np.testing.assert_allclose(kept, now, atol=1e-5)


def test_learned_features_tell_what_is_wrong(network, shapes):
    real, kinds = coloured_shapes(1200, 1)
    found = distances(lambda images: network.extract(images)[0], shapes.images, {
        "real": real, "blurred": blurred(real), "hue": hue_turned(real), "mode": real[kinds != 2]})
    assert found["blurred"] > 4 * found["real"]
    assert found["hue"] > 40 * found["real"]
    assert found["mode"] > 40 * found["real"]


def test_what_is_found_again_is_counted(network, shapes):
    assert features.blindness(network.accuracy, networks.held_out_for(1200)) is None
    held_out = networks.held_out_for
    assert [held_out(count) for count in (200, 1200, 10**6)] == [50, 120, 500]


@pytest.mark.parametrize(("accuracy", "count", "blind"), [
    (0.1, 100, True), (0.11, 100, False), (0.1, 50, True), (0.12, 50, False),
    (float("nan"), 100, True)])
def test_features_that_find_little_again_are_not_used(accuracy, count, blind):
    assert bool(features.blindness(accuracy, count)) == blind


def test_the_network_is_kept_in_the_cache(few_steps, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(features, "LEAST_FOUND", 0)
    data = Dataset("shapes", coloured_shapes(200, 3)[0])
    first = features.extractor_for(data, "learned")
    assert first.kind == "learned" and "training a network" in capsys.readouterr().out
    path = tmp_path / f"gan/learned_{data.fingerprint}.npz"
    second = features.extractor_for(data, "trained")  # the data have no labels
    assert "training" not in capsys.readouterr().out
    assert (second.kind, second.description) == ("learned", first.description)
    np.testing.assert_array_equal(first.extract(data.images)[0], second.extract(data.images)[0])
    path.write_bytes(path.read_bytes()[:5000])
    features.extractor_for(data, "learned")
    said = capsys.readouterr()
    assert f"warning: {path} is damaged" in said.err and "training a network" in said.out
    monkeypatch.setitem(networks.RECIPES, "learned", 0)
    features.extractor_for(data, "learned")
    assert "training a network" in capsys.readouterr().out


def greys(count, values):
    return np.random.default_rng(0).integers(99, 99 + values, (count, 16, 16, 1), np.uint8)


@pytest.mark.parametrize(("images", "reason"), [
    (greys(199, 9), "features are learned from 200 images or more, got 199"),
    (greys(300, 1), "are the same"), (greys(300, 2), "learned features find"),
])
def test_what_nothing_can_be_learned_from_is_compared_in_pixels(images, reason, few_steps):
    try:
        found = features.extractor_for(Dataset("some", images), "learned")
    except metrics.NotMeasurableError as error:
        assert reason in str(error)
    else:
        assert found.kind == "pixels" and found.accuracy is None and reason in found.description


def test_without_being_asked_nothing_is_learned(monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(features, "trained_network", refuse)
    monkeypatch.setattr(features, "inception_network", refuse)
    data = Dataset("greys", greys(200, 9))
    assert features.extractor_for(data).kind == "pixels"
    assert features.extractor_for(data, "classifier").kind == "pixels"


def test_labels_are_what_a_trained_network_learns_from_where_there_are_any(monkeypatch):
    images, kinds = coloured_shapes(600, 0)
    data = Dataset("shapes", images, kinds.astype(np.int32), ("0", "1", "2"))
    monkeypatch.setattr(features, "trained_network",
                        lambda kind, dataset: networks.FeatureNetwork(kind, None, 0.99))
    assert features.extractor_for(data, "trained").kind == "classifier"
    assert features.extractor_for(data, "learned").kind == "learned"


def test_evaluation_takes_what_the_run_took(shapes):
    def wanted(option, used):
        return evaluate.wanted_features(option, {"features": {"kind": used}, "config": {}}, shapes)

    assert wanted("auto", "learned") == ("learned", "as in the run")
    assert wanted("auto", "planes") == ("auto", "as in the run")
    assert wanted("inception", "learned") == ("inception", "as asked for")
    with pytest.raises(UserError, match="without labels; expected --features learned"):
        wanted("classifier", "learned")


@pytest.fixture
def evaluation(monkeypatch, capsys, tensorflow):
    """A function that runs `python -m gan.evaluate` here; returns its code and its output."""
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_script("gan.evaluate", evaluate.main)
        return caught.value.code, capsys.readouterr()

    return run


def test_evaluation_with_learned_features(tiny_run, tmp_path, monkeypatch, evaluation):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(networks, "STEPS", 100)
    code, said = evaluation("--model", tiny_run[0], "--num-images", 200, "--features", "learned",
                            "--json", tmp_path / "metrics.json")
    assert not code, said.err
    assert "compared in features learned without labels (" in said.out
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["features"]["kind"] == "learned" and 0.1 < found["features"]["accuracy"] <= 1
    assert found["generated"]["frechet"] > 3 * found["test_images"]["frechet"] > 0
    assert "classes" not in found["generated"]
    kept, = (tmp_path / "gan").glob("learned_*.npz")
    assert re.fullmatch(r"learned_[0-9a-f]{16}\.npz", kept.name)


@pytest.mark.slow
def test_a_run_without_labels_is_measured_in_learned_features(tiny_npz, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with np.load(tiny_npz) as arrays:
        np.savez(tmp_path / "bare.npz", x_train=arrays["x_train"], x_test=arrays["x_test"])
    done = conftest.run_script("train_gan.py", "--dataset", "bare.npz", *conftest.TINY,
                               "--epochs", 3, "--metrics-interval", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training a network on bare without labels") == 1
    assert "compared    in features learned without labels (" in done.stdout
    assert done.stdout.count("  FD ") == 2
    metadata = json.loads((tmp_path / "exported_model/assets.extra/gan.json").read_text())
    assert metadata["features"]["kind"] == "learned"
    evaluated = conftest.run_module("gan.evaluate", "--model", tmp_path, "--num-images", 10000,
                                    "--dataset", tmp_path / "bare.npz")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "compared in features learned" in evaluated.stdout
    assert "training a network" not in evaluated.stdout


class Means:
    """A tiny network in Inception's place: the mean of each channel, and the largest value."""

    def __init__(self):
        self.images = 0

    def __call__(self, images, training):
        import tensorflow as tf

        assert not training and images.shape[1:] == (299, 299, 3) and images.dtype == tf.float32
        tf.py_function(self._count, [tf.shape(images)[0]], [])
        return tf.concat([tf.reduce_mean(images, axis=(1, 2)),
                          tf.reduce_max(images, axis=(1, 2, 3), keepdims=True)[:, 0, 0]], axis=1)

    def _count(self, number):
        self.images += int(number)


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_is_shown_what_it_was_trained_on(tensorflow, channels):
    values = np.array([[0, 51, 102], [255, 0, 255]], np.uint8)[:, :channels]
    images = np.broadcast_to(values[:, None, None], (2, 16, 16, channels))
    found = networks.FeatureNetwork("inception", Means()).extract(images)[0]
    expected = np.broadcast_to(values / 127.5 - 1, (2, 3))
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-3)  # a sum of 89,401 float32
    np.testing.assert_allclose(found[:, 3], expected.max(axis=1), atol=1e-5)


def test_images_are_resized_linearly_and_smoothed_where_they_shrink(tensorflow):
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None, None] * 16, (1, 16, 16, 3))
    found = (networks.enlarged(ramp).numpy()[0, :, 0, 0] + 1) * 127.5
    places = (np.arange(299) + 0.5) * 16 / 299 - 0.5
    np.testing.assert_allclose(found, 16 * np.clip(places, 0, 15), atol=0.01)
    stripes = np.zeros((1, 598, 598, 1), np.uint8)
    stripes[:, ::2] = 255
    shrunk = networks.enlarged(stripes).numpy()
    assert np.abs(shrunk[:, 5:-5]).max() < 0.01  # medium grey, not every other stripe


def test_inception_describes_an_image_once(tensorflow):
    network, images = Means(), coloured_shapes(70, 0)[0]
    described = networks.FeatureNetwork("inception", network)
    first, _ = described.extract(images)
    assert network.images == 70
    np.testing.assert_array_equal(described.extract(images[[3, 3, 69]])[0], first[[3, 3, 69]])
    assert network.images == 70 and first.shape == (70, 4)


def test_inception_features_stand_for_the_data(tensorflow, monkeypatch):
    monkeypatch.setattr(networks, "_load_inception", Means)
    data = Dataset("shapes", coloured_shapes(60, 0)[0])
    found = features.extractor_for(data, "inception")
    assert (found.kind, found.accuracy) == ("inception", None)
    assert "InceptionV3" in found.description and "299 x 299" in found.description
    expected = metrics.statistics(found.extract(data.images)[0])
    np.testing.assert_allclose(found.statistics[1], expected[1], atol=1e-9)


def test_without_a_network_inception_is_refused_in_one_line(tiny_run, monkeypatch, evaluation):
    import keras

    def fail(**settings):
        assert settings == {"include_top": False, "weights": "imagenet", "pooling": "avg",
                            "input_shape": (299, 299, 3)}
        raise Exception("URL fetch failure on https://…: None -- no such host")

    monkeypatch.setattr(keras.applications, "InceptionV3", fail)
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    code, said = evaluation("--model", tiny_run[0], "--features", "inception", "--num-images", 100)
    line, = said.err.splitlines()
    assert code == 2
    assert line.startswith("gan.evaluate: error: --features inception: the weights cannot be down")
    assert line.endswith("or the file /somewhere/models/inception_v3_weights_tf_dim_ordering_tf_"
                         "kernels_notop.h5")


@pytest.mark.slow
def test_inception_itself_gives_2048_features(tensorflow):
    import keras

    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg",
                                             input_shape=(299, 299, 3))
    found = networks.FeatureNetwork("inception", network).extract(coloured_shapes(3, 0)[0])[0]
    assert found.shape == (3, 2048) and np.isfinite(found).all()
