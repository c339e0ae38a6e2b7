"""Features that images are compared in: the choice, the networks and how they are trained."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.data.datasets import Dataset
from gan.evaluate import features, metrics
from tests.conftest import assert_error, draw_shapes, noise


def colored_shapes(count, seed):
    """Red squares and green crosses of 16 pixels: uint8 images, int32 kinds."""
    images, kinds = draw_shapes(count, seed)
    colors = np.array([(220, 60, 40), (60, 200, 70)])[kinds, None, None]
    return (30 + images[..., None] / 255 * colors).astype(np.uint8), kinds.astype(np.int32)


LABELS = {"labels": np.arange(600) % 2, "class_names": ("0", "1")}
FEW_TESTS = {"test_images": noise(10, low=99, high=108), "test_labels": np.zeros(10, int)}


@pytest.mark.parametrize(("count", "settings", "wanted", "accuracy", "kind", "description"), [
    # Without being asked nothing is trained.
    (600, {}, "auto", 0.99, "pixels", "the data have no labels"),
    (600, LABELS, "auto", 0.99, "pixels", "no classifier of these data comes with"),
    (600, LABELS, "pixels", 0.99, "pixels", "principal components of the pixels"),
    # Labels are learned from where there are any.
    (600, LABELS, "trained", 0.91, "classifier", "accuracy 91.0% on held-out images"),
    (600, {}, "trained", 0.99, "learned", ""), (600, LABELS, "learned", 0.99, "learned", ""),
    # Pixels stand in for what cannot be had.
    (600, {}, "classifier", 0.99, "pixels", "the data have no labels"),
    (600, {"labels": np.zeros(600, int)}, "classifier", 0.99, "pixels", "a single class"),
    (600, LABELS | FEW_TESTS, "classifier", None, "pixels", "50 labeled images"),
    (600, LABELS, "classifier", float("nan"), "pixels", "nan% of held-out images"),
    (600, LABELS, "classifier", 0.89, "pixels",
     "89.0% of held-out images are classified correctly, expected at least 90.0%"),
    (199, {}, "learned", 0.99, "pixels", "learned from 200 images or more, got 199"),
    (300, {}, "learned", 0.02, "pixels", "found again in another view, expected at least 11.")])
def test_features_of_images(monkeypatch, count, settings, wanted, accuracy, kind, description):
    if accuracy is not None:
        monkeypatch.setattr(features, "trained_network", lambda kind, dataset:
                            features.FeatureNetwork(kind, None, accuracy))
    images = noise(count, low=99, high=108)
    found = features.extractor_for(Dataset("grays", images, **settings), wanted)
    assert found.kind == kind and description in found.description
    assert found.accuracy == (None if kind == "pixels" else accuracy)


def test_a_network_is_trained_once_and_kept_in_the_cache(monkeypatch, tmp_path, capsys):
    def extract():
        network = features.extractor_for(data, "learned")
        said = capsys.readouterr()
        return network, "training a network" in said.out, said.err

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(features, "STEPS", 10)  # too few to learn anything
    monkeypatch.setattr(features, "LEAST_FOUND", 0)
    data = Dataset("shapes", colored_shapes(200, 3)[0])
    first, trained, _ = extract()
    assert trained and first.kind == "learned"
    second, trained, _ = extract()
    assert not trained and second.description == first.description
    np.testing.assert_array_equal(first.extract(data.images)[0], second.extract(data.images)[0])
    path = tmp_path / f"gan/learned_{features.RECIPES['learned']}_{data.fingerprint}.npz"
    path.write_bytes(path.read_bytes()[:5000])
    third, trained, warning = extract()
    assert trained and f"warning: {path} is damaged" in warning
    # A training is a function of its seed.
    np.testing.assert_equal(third.network.get_weights(), first.network.get_weights())
    monkeypatch.setitem(features.RECIPES, "learned", 0)
    assert extract()[1]


def test_a_classifier_is_read_for_the_data_that_it_was_trained_on(tmp_path):
    images, kinds = colored_shapes(60, 0)
    data = Dataset("shapes", images, kinds, ("0", "1"))
    network = features.build_classifier((16, 16, 3), 2)
    kept = features.FeatureNetwork("classifier", network, 0.99, (np.zeros(2), np.eye(2)))
    features.save_network(tmp_path / "classifier.npz", kept, "data")
    found = features.load_network(tmp_path / "classifier.npz", "classifier", data, "data")
    assert found.description == "classifier features (accuracy 99.0% on held-out images)"
    np.testing.assert_array_equal(found.extract(images)[1], kept.extract(images)[1])
    assert features.load_network(tmp_path / "classifier.npz", "classifier", data, "other") is None


@pytest.mark.slow
def test_a_classifier_is_tested_on_images_held_out(monkeypatch):
    monkeypatch.setattr(features, "LEAST_STEPS", 60)
    found = features.train_classifier(Dataset("shapes", *colored_shapes(600, 0), ("0", "1")),
                                      epochs=1)
    assert found.accuracy * 60 == pytest.approx(round(found.accuracy * 60))  # a tenth of 600
    assert found.accuracy > 0.5


def test_the_loss_is_that_of_the_paper():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    vectors = np.concatenate([first, second]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = []
    for i in range(6):
        j = (i + 3) % 6
        terms = {k: np.exp(vectors[i] @ vectors[k] / 0.3) for k in range(6) if k != i}
        losses.append(-np.log(terms[j] / sum(terms.values())))
    assert float(features.nt_xent(first, second, 0.3)) == pytest.approx(np.mean(losses), 1e-5)


def test_views_change_the_image_but_not_its_hue():
    random = np.random.default_rng(0)
    plain = np.broadcast_to(random.uniform(-0.8, 0.8, (40, 1, 1, 3)), (40, 16, 16, 3))
    draws = random.random((40, features.VIEW_DRAWS), np.float32)
    shown = features.views(tf.constant(plain, tf.float32), draws).numpy()
    covered = (shown == 0).all(axis=3)
    assert 10 < covered.any(axis=(1, 2)).sum() < 30 and covered.mean() < 0.1
    # A color less its gray has the direction of its hue and the length of its saturation.
    before, after = (colors - colors.mean(axis=3, keepdims=True) for colors in (plain, shown))
    lengths = np.linalg.norm(before, axis=3), np.linalg.norm(after, axis=3)
    cosines = (before * after).sum(axis=3)[~covered] / (lengths[0] * lengths[1])[~covered]
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    assert np.abs(shown - plain)[~covered].max() > 0.05  # the light changed


@pytest.mark.parametrize("shape", [(16, 16, 3), (28, 28, 1), (40, 100, 3), (512, 300, 3)])
def test_the_networks_take_every_size(shape):
    encoder, classifier = features.build_encoder(shape), features.build_classifier(shape, 2)
    assert encoder.output_shape == (None, 128) and classifier.output_shape == (None, 2)
    for network, last in ((encoder, -3), (classifier, -5)):
        assert max(network.layers[last].output.shape[1:3]) <= 8
        assert max(network.layers[0].output.shape[1:3]) <= 128  # what a batch's memory goes into


def test_learned_features_tell_what_is_wrong(monkeypatch):
    monkeypatch.setattr(features, "STEPS", 200)  # half
    training = colored_shapes(1200, 0)[0]
    network = features.train_encoder(Dataset("shapes", training))
    features.need_skill(network.accuracy, 1 / features.encoder_held_out(1200), features.LEAST_FOUND,
                        "found")
    found = network.extract(training)[0]
    assert found.shape == (1200, 128) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert found.var(axis=0).sum() == pytest.approx(1, abs=1e-3)
    for kept, now in zip(network.statistics, metrics.statistics(found), strict=True):
        np.testing.assert_allclose(kept, now, atol=1e-5)

    real, kinds = colored_shapes(1200, 1)
    distances = {name: metrics.frechet_distance(metrics.statistics(network.extract(images)[0]),
                                                network.statistics)
                 for name, images in {
                     "real": real, "blurred": real // 2 + np.roll(real, 1, axis=2) // 2,
                     "hue": real // 2 + np.roll(real, 1, axis=3) // 2, "mode": real[kinds == 1],
                 }.items()}
    assert distances["blurred"] > 4 * distances["real"]
    assert distances["hue"] > 40 * distances["real"]
    assert distances["mode"] > 40 * distances["real"]


def test_images_are_resized_linearly_and_smoothed_where_they_shrink():
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None, None] * 16, (1, 16, 16, 3))
    found = (features.enlarged(ramp).numpy()[0, :, 0, 0] + 1) * 127.5
    places = (np.arange(299) + 0.5) * 16 / 299 - 0.5
    np.testing.assert_allclose(found, 16 * np.clip(places, 0, 15), atol=0.01)
    stripes = np.zeros((1, 598, 598, 1), np.uint8)
    stripes[:, ::2] = 255
    shrunk = features.enlarged(stripes).numpy()
    assert shrunk.shape == (1, 299, 299, 3)
    assert np.abs(shrunk[:, 5:-5]).max() < 0.01  # medium gray, not every other stripe


def test_inception_describes_an_image_once_and_stands_for_the_data(monkeypatch):
    images = colored_shapes(70, 0)[0]
    monkeypatch.setattr(features, "_load_inception", lambda: keras.Sequential(
        [keras.Input((299, 299, 3)), keras.layers.GlobalAveragePooling2D()]))
    described = features.extractor_for(Dataset("shapes", images), "inception")
    assert (described.kind, described.accuracy) == ("inception", None)
    assert "InceptionV3" in described.description and "299 x 299" in described.description
    monkeypatch.setattr(described, "_compute", pytest.fail)  # the data were described for it
    first, _ = described.extract(images)
    np.testing.assert_allclose(first, images.mean(axis=(1, 2)) / 127.5 - 1, atol=0.02)
    np.testing.assert_array_equal(described.extract(images[[3, 3, 69]])[0], first[[3, 3, 69]])
    np.testing.assert_allclose(described.statistics[1], metrics.statistics(first)[1], atol=1e-9)


def test_without_a_network_inception_is_refused(monkeypatch):
    load = mock.Mock(side_effect=Exception("URL fetch failure on https://…: None -- no such host"))
    monkeypatch.setattr(keras.applications, "InceptionV3", load)
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    assert_error("^--features inception: the weights cannot be downloaded .*or the file "
                 "/somewhere/models/inception_v3_weights_tf_dim_ordering_tf_",
                 features.extractor_for, Dataset("shapes", colored_shapes(9, 0)[0]), "inception")
    load.assert_called_with(include_top=False, weights="imagenet", pooling="avg",
                            input_shape=(299, 299, 3))
