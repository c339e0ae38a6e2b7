"""What images are compared in, and what becomes of data too small or too plain for it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gan.data.datasets import Dataset
from gan.evaluate import evaluator as evaluation
from gan.evaluate import features, metrics, networks, registry
from gan.evaluate.evaluator import Drawn, Evaluator
from gan.evaluate.registry import METRICS, Metric, epoch_text
from tests.conftest import ROOT, TINY, draw_shapes, run_script


def images_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)


def evaluate(model, *arguments):
    return subprocess.run([sys.executable, "-m", "gan.evaluate", "--model", str(model),
                           "--num-images", "100", *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("training", "test", "generated", "reference"), [
    (images_of(3), None, {"precision", "recall"}, set()),
    (images_of(40), images_of(3, 1), set(), {"precision", "recall"}),
    (images_of(40), images_of(1, 1), set(), {"frechet", "kid", "precision", "recall"}),
    (np.zeros((40, 16, 16, 1), np.uint8), images_of(9), {"frechet", "kid", "precision", "recall"},
     {"frechet", "kid", "precision", "recall"}),
])
def test_what_cannot_be_measured_is_left_out_with_its_reason(training, test, generated, reference):
    evaluator = Evaluator(Dataset("few", training, test_images=test))
    found = evaluator.measure(images_of(50, 2))
    in_features = {"frechet", "kid", "precision", "recall"}
    assert found.keys() & in_features == in_features - generated
    assert "swd" in found  # which needs no features
    assert all(np.isfinite(value) for value in found.values())
    assert np.isfinite(list(evaluator.reference().values())).all()
    assert evaluator.left_out["generated"].keys() == generated
    assert evaluator.left_out["reference"].keys() == reference
    lines = dict(registry.summary_lines(found, evaluator))
    assert ("left out" in lines) == bool(generated or reference)


def test_reasons_are_given_in_words():
    texts = registry.left_out_texts({"generated": {}, "reference": {
        "precision": "needs at least 4 samples, got 3", "recall": "needs at least 4 samples, got 3",
        "kid": "came out as nan"}})
    assert texts == ["precision, recall of real test samples: needs at least 4 samples, got 3",
                     "KID of real test samples: came out as nan"]


def test_a_copied_test_set_measures_no_copying():
    generated, some = np.full(100, 0.1), np.repeat([0.0, 0.2], [2, 98])
    with pytest.raises(metrics.NotMeasurableError, match="copies of training images"):
        metrics.nearest_ratio(generated, np.zeros(100))
    with pytest.raises(metrics.NotMeasurableError, match="1% or more of the real test images"):
        metrics.copied_share(generated, some)
    assert metrics.nearest_ratio(generated, some) == pytest.approx(0.5)


def test_classes_are_those_that_occur():
    probabilities = np.eye(8)[[3, 3, 7, 7]]
    expected = np.array([0, 0, 0, 0.5, 0, 0, 0, 0.5])
    found = metrics.class_metrics(probabilities, expected)
    assert found["classes"] == 2 and found["smallest_class"] == 0.5


def test_an_evaluator_costs_nothing_until_it_is_asked():
    class Untouchable:
        name, sample_shape = "mine", (16, 16, 1)

    evaluator = Evaluator(Untouchable())
    assert (evaluator.count, evaluator.samples) == (10_000, "images")


@pytest.fixture
def shapes():
    images, labels = draw_shapes(600, 0)
    return Dataset("shapes", images[..., None], labels.astype(np.int32), ("0", "1"))


def some_classifier(accuracy, size=16):
    """An untrained classifier of two classes."""
    network = networks.build_classifier((size, size, 1), 2)
    return networks.FeatureNetwork("classifier", network, accuracy, (np.zeros(2), np.eye(2)))


def test_a_cached_classifier_is_used_only_where_one_is_asked_for(shapes, tmp_path, tensorflow,
                                                                 monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / f"gan/classifier_{shapes.fingerprint}.npz"
    networks.save_network(path, some_classifier(0.99), shapes.fingerprint)
    assert features.extractor_for(shapes).kind == "pixels"
    assert features.extractor_for(shapes, "pixels").kind == "pixels"
    found = features.extractor_for(shapes, "classifier")
    assert (found.kind, found.accuracy) == ("classifier", 0.99)
    assert found.description == "classifier features (accuracy 99.0% on held-out images)"


@pytest.mark.parametrize(("accuracy", "labels", "weak"), [
    (0.71, np.arange(1000) % 10, True),  # 10 even classes: 0.1 + 0.8 * 0.9 = 0.82
    (0.81, np.arange(1000) % 10, True), (0.83, np.arange(1000) % 10, False),
    (0.95, np.arange(1000) < 50, True),  # as many are right by naming the larger class
    (0.995, np.arange(1000) < 50, False), (float("nan"), np.arange(1000) % 10, True),
])
def test_a_classifier_little_better_than_guessing_is_not_used(accuracy, labels, weak):
    assert bool(features.weakness(accuracy, labels.astype(int))) == weak


def test_a_weak_classifier_gives_way_to_pixels_and_says_why(shapes, tmp_path, tensorflow,
                                                            monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(networks, "train_classifier", lambda dataset: some_classifier(0.71))
    found = features.extractor_for(shapes, "classifier")
    assert found.kind == "pixels" and "right on 71.0% of held-out images" in found.description


@pytest.mark.parametrize(("change", "reason"), [
    ({"labels": None}, "the data have no labels"),
    ({"labels": np.zeros(600, np.int32)}, "a single class"),
    ({"test_images": images_of(10), "test_labels": np.zeros(10, np.int32)}, "50 labeled images"),
])
def test_no_classifier_is_trained_where_none_can_be_tested(shapes, change, reason):
    dataset = Dataset(**{"name": "shapes", "images": shapes.images, "labels": shapes.labels,
                         "class_names": shapes.class_names, **change})
    found = features.extractor_for(dataset, "classifier")
    assert found.kind == "pixels" and reason in found.description


def test_a_classifier_of_another_recipe_is_not_taken_from_the_cache(shapes, tmp_path, tensorflow,
                                                                    monkeypatch, capsys):
    def load(fingerprint):
        return networks.load_network(path, "classifier", shapes, fingerprint)

    path = tmp_path / "classifier.npz"
    networks.save_network(path, some_classifier(0.9), "data")
    assert load("data").accuracy == 0.9
    assert load("other") is None
    monkeypatch.setitem(networks.RECIPES, "classifier", 1)
    assert load("data") is None
    path.write_bytes(path.read_bytes()[:100])
    assert load("data") is None
    assert "damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_the_accuracy_is_measured_on_images_held_out(shapes, tensorflow, monkeypatch):
    monkeypatch.setattr(networks, "LEAST_STEPS", 60)
    found = networks.train_classifier(shapes, epochs=1)
    assert found.accuracy * 60 == pytest.approx(round(found.accuracy * 60))  # a tenth of 600
    assert found.accuracy > 0.5


def padded(seed, count=50):
    return np.pad(images_of(count, seed), ((0, 0), (7, 7), (7, 7), (0, 0)))


def test_every_metric_of_the_registry_is_measured(tensorflow, monkeypatch):
    from gan.data.datasets import load_dataset

    data = Dataset("some", padded(0), np.arange(50, dtype=np.int32) % 2, ("0", "1"),
                   test_images=padded(1))
    classifier = some_classifier(0.9, size=30)
    classifier.statistics = metrics.statistics(classifier.extract(data.images)[0])
    monkeypatch.setattr(evaluation, "extractor_for", lambda *_: classifier)
    found = Evaluator(data).measure(padded(2), slow=True)
    ring = load_dataset("ring")
    found |= Evaluator(ring).measure(ring.test_points)
    assert found.keys() == METRICS.keys()


@pytest.mark.parametrize("settings", [
    {"function": lambda comparison: comparison.features.mean()},
    {"per_image": lambda images, background: images.mean(axis=(1, 2, 3))},
])
def test_a_new_metric_is_one_entry(monkeypatch, settings):
    new = Metric("warmth", "warmth", "reference", "how warm", epoch="warmth {:.3g}",
                 in_summary=True, **settings)
    monkeypatch.setitem(METRICS, "warmth", new)
    evaluator = Evaluator(Dataset("some", images_of(50), test_images=images_of(40, 1)))
    generated = images_of(30, 2)
    found, real = evaluator.measure(generated), evaluator.reference()
    if "per_image" in settings:
        assert found["warmth"] == pytest.approx(generated.mean(), abs=1e-6)
    assert "warmth" in epoch_text(found)
    assert f"warmth {found['warmth']:.4g} (real {real['warmth']:.4g})" in (
        dict(registry.summary_lines(found, evaluator))["quality"])
    assert any("how warm" in line for line in registry.metrics_table(found, {"test": real}))


def test_distances_are_compared_with_those_of_as_many_real_images(monkeypatch):
    """Of fewer images the Fréchet distance comes out larger, and so it must for both."""
    images = images_of(1200)
    few = Evaluator(Dataset("some", images[:800], test_images=images[800:850]))
    found = few.measure(images[850:])
    assert found["frechet_ratio"] == pytest.approx(1, abs=0.15)
    assert few.reference()["frechet"] > 2 * found["frechet"]
    part = Evaluator(Dataset("some", images[:800], test_images=images[850:]), count=50)
    assert part.reference()["frechet"] == pytest.approx(few.reference()["frechet"], rel=0.15)
    assert part.real_source() == "50 test images"
    assert part.measure(images[800:850])["frechet_ratio"] == pytest.approx(1, abs=0.15)
    # Precision and recall are of as many images on either side.
    assert found["recall"] == few.measure(images[850:900])["recall"]


class Remembering:
    """Noise as a sequence that notes how much of it was asked for at once."""

    def __init__(self, count, size):
        self.shape, self.most, self.read = (count, size, size, 3), 0, 0

    def __len__(self):
        return self.shape[0]

    def draw(self, seeds):
        self.most = max(self.most, len(seeds))
        self.read += len(seeds)
        return np.random.default_rng(int(seeds[0])).integers(
            0, 256, (len(seeds), *self.shape[1:]), dtype=np.uint8)


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    """Images are drawn, described and forgotten in parts."""
    import tracemalloc

    monkeypatch.setattr(metrics, "PATCHED", 32)
    monkeypatch.setattr(metrics, "VALUES", 2**19)  # ten images
    real = np.random.default_rng(0).integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
    evaluator = Evaluator(Dataset("large", real), count=60)
    evaluator.measure(real[:5])  # what is kept of the real images
    peaks = []
    for count in (60, 180):
        source = Remembering(count, 128)
        tracemalloc.start()
        evaluator.measure(Drawn(source.draw, count, shape=source.shape[1:]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert source.read == count and source.most * 128 * 128 * 3 <= metrics.VALUES
    assert peaks[1] < 1.1 * peaks[0]


def test_the_line_of_an_epoch_reads_the_table():
    assert epoch_text({"modes": 8, "good": 0.974, "loss": 1}) == "8 modes, 97% good"
    assert epoch_text({"frechet": 0.003841, "recall": 0.5}) == "FD 0.003841"
    assert epoch_text({"loss": 1}) == ""
    assert epoch_text({"modes": 1, "good": 1.0}) == "1 mode, 100% good"


def test_evaluation_compares_in_what_the_run_compared_in(tiny_run, tmp_path):
    folder, done = tiny_run
    compared = "principal components of the pixels (no classifier of these data comes with the"
    assert f"compared in {compared}" in " ".join(done.stdout.split())
    metadata = json.loads((folder / "exported_model/assets.extra/gan.json").read_text())
    assert metadata["features"]["kind"] == "pixels" and metadata["features"]["accuracy"] is None
    # The folder of the run stands for the export in it.
    evaluated = evaluate(folder, "--json", tmp_path / "metrics.json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "100 images, seeds from 0, compared in principal components" in evaluated.stdout
    assert json.loads((tmp_path / "metrics.json").read_text())["features"]["kind"] == "pixels"


def test_the_fingerprint_and_not_the_path_says_whether_data_are_the_same(tiny_run, tiny_npz,
                                                                          tmp_path):
    from gan.data.datasets import load_dataset
    from gan.evaluate.__main__ import load_data

    moved, other = tmp_path / "moved.npz", tmp_path / "other.npz"
    moved.write_bytes(tiny_npz.read_bytes())
    np.savez(other, x_train=draw_shapes(320, 9)[0])
    metadata = {"sample_shape": [16, 16, 1], "config": {"dataset": str(tmp_path / "gone.npz")},
                "fingerprint": load_dataset(str(tiny_npz)).fingerprint}
    assert load_data(str(moved), metadata)[1] is True
    assert load_data(str(other), metadata)[1] is False
    del metadata["fingerprint"]
    assert load_data(str(moved), metadata)[1] is None


def test_data_that_are_gone_are_asked_for(tmp_path):
    from gan.common.errors import UserError
    from gan.evaluate.__main__ import load_data

    with pytest.raises(UserError, match=r"^--dataset needed: the data .* are not in /gone.npz$"):
        load_data(None, {"sample_shape": [16, 16, 1], "config": {"dataset": "/gone.npz"}})


def test_a_run_on_three_images_ends_whole(tmp_path):
    np.savez(tmp_path / "three.npz", x_train=images_of(3))
    done = run_script("train_gan.py", "--dataset", "three.npz", *TINY, "--batch-size", 2,
                      "--epochs", 1, "--clusters", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left out    precision, recall: needs at least 4 samples, got 3" in done.stdout
    assert (tmp_path / "exported_model/saved_model.pb").exists()


def test_the_metrics_of_test_images_are_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = [Dataset("some", images_of(50), test_images=images_of(50, seed)) for seed in (1, 1, 2)]
    measured = Evaluator(data[0]).reference()
    path, = (tmp_path / "gan").glob("reference_*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_text())
    kept["metrics"]["recall"] = 0.125  # as nothing measured it
    path.write_text(json.dumps(kept))
    assert Evaluator(data[1]).reference()["recall"] == 0.125
    assert Evaluator(data[2]).reference()["recall"] != 0.125  # other test images
    for damaged in ("", "[]", '{"metrics": {"recall": NaN}, "left_out": {}}', '{"metrics": {}}'):
        path.write_text(damaged)
        assert Evaluator(data[1]).reference() == measured
