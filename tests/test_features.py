"""What images are compared in, and what becomes of data too small or too plain for it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gan.data.datasets import Dataset
from gan.evaluate import choice, classifier, classifier_training, coverage, metrics, summary
from gan.evaluate.evaluators import image_evaluator
from gan.evaluate.table import METRICS, epoch_text
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
    evaluator = image_evaluator(Dataset("few", training, test_images=test))
    found = evaluator.measure(images_of(50, 2))
    in_features = {"frechet", "kid", "precision", "recall"}
    assert found.keys() & in_features == in_features - generated
    assert "patches" in found  # which needs no features
    assert all(np.isfinite(value) for value in found.values())
    assert np.isfinite(list(evaluator.reference().values())).all()
    assert evaluator.left_out["generated"].keys() == generated
    assert evaluator.left_out["reference"].keys() == reference
    lines = dict(summary.summary_lines(found, evaluator))
    assert ("left out" in lines) == bool(generated or reference)


def test_reasons_are_given_in_words():
    texts = summary.left_out_texts({"generated": {}, "reference": {
        "precision": "needs at least 4 samples, got 3", "recall": "needs at least 4 samples, got 3",
        "kid": "came out as nan"}})
    assert texts == ["precision, recall of real test samples: needs at least 4 samples, got 3",
                     "kernel distance of real test samples: came out as nan"]


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
    found = coverage.class_metrics(probabilities, expected)
    assert found["classes"] == 2 and found["smallest_class"] == 0.5


def test_an_evaluator_costs_nothing_until_it_is_asked():
    class Untouchable:
        name, sample_shape = "mine", (16, 16, 1)

    evaluator = image_evaluator(Untouchable())
    assert (evaluator.count, evaluator.samples) == (10_000, "images")


@pytest.fixture
def shapes():
    images, labels = draw_shapes(600, 0)
    return Dataset("shapes", images[..., None], labels.astype(np.int32), ("0", "1"))


def test_a_cached_classifier_is_used_only_where_one_is_asked_for(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network = classifier.FeatureNetwork([np.zeros(2)], 0.99, (np.zeros(2), np.eye(2)))
    classifier.save_classifier(classifier.cached_path(shapes), network, shapes.fingerprint)
    assert choice.extractor_for(shapes).kind == "pixels"
    assert choice.extractor_for(shapes, "pixels").kind == "pixels"
    found = choice.extractor_for(shapes, "classifier")
    assert (found.kind, found.accuracy) == ("classifier", 0.99)
    assert found.description == "classifier features (accuracy 99.0% on held-out images)"


@pytest.mark.parametrize(("accuracy", "labels", "weak"), [
    (0.71, np.arange(1000) % 10, True),  # 10 even classes: 0.1 + 0.8 * 0.9 = 0.82
    (0.81, np.arange(1000) % 10, True), (0.83, np.arange(1000) % 10, False),
    (0.95, np.arange(1000) < 50, True),  # as many are right by naming the larger class
    (0.995, np.arange(1000) < 50, False), (float("nan"), np.arange(1000) % 10, True),
])
def test_a_classifier_little_better_than_guessing_is_not_used(accuracy, labels, weak):
    network = classifier.FeatureNetwork([], accuracy)
    assert bool(choice.weakness(network, labels.astype(int))) == weak


def test_a_weak_classifier_gives_way_to_pixels_and_says_why(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weak = classifier.FeatureNetwork([np.zeros(2)], 0.71, (np.zeros(2), np.eye(2)))
    monkeypatch.setattr(classifier_training, "train_classifier", lambda dataset: weak)
    found = choice.extractor_for(shapes, "classifier")
    assert found.kind == "pixels" and "right on 71.0% of held-out images" in found.description


@pytest.mark.parametrize(("change", "reason"), [
    ({"labels": None}, "the data have no labels"),
    ({"labels": np.zeros(600, np.int32)}, "a single class"),
    ({"test_images": images_of(10), "test_labels": np.zeros(10, np.int32)}, "50 labelled images"),
])
def test_no_classifier_is_trained_where_none_can_be_tested(shapes, change, reason):
    dataset = Dataset(**{"name": "shapes", "images": shapes.images, "labels": shapes.labels,
                         "class_names": shapes.class_names, **change})
    found = choice.extractor_for(dataset, "classifier")
    assert found.kind == "pixels" and reason in found.description


def test_a_classifier_of_another_recipe_is_not_taken_from_the_cache(tmp_path, capsys):
    network = classifier.FeatureNetwork([np.zeros(2)], 0.9, (np.zeros(2), np.eye(2)))
    path = tmp_path / "classifier.npz"
    classifier.save_classifier(path, network, "data")
    assert classifier.load_classifier(path, "data", classifier.RECIPE).accuracy == 0.9
    assert classifier.load_classifier(path, "data", classifier.RECIPE - 1) is None
    assert classifier.load_classifier(path, "other") is None
    path.write_bytes(path.read_bytes()[:100])
    assert classifier.load_classifier(path, "data") is None
    assert "damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_the_accuracy_is_measured_on_images_held_out(shapes, tensorflow, monkeypatch):
    monkeypatch.setattr(classifier_training, "LEAST_STEPS", 60)
    found = classifier_training.train_classifier(shapes, epochs=1)
    assert found.accuracy * 60 == pytest.approx(round(found.accuracy * 60))  # a tenth of 600
    assert found.accuracy > 0.5


def test_every_metric_is_in_the_table():
    random = np.random.default_rng(0)
    images, test, generated = (
        np.pad(images_of(50, seed), ((0, 0), (7, 7), (7, 7), (0, 0))) for seed in range(3))
    evaluator = image_evaluator(Dataset("some", images, test_images=test))
    found = evaluator.measure(generated) | evaluator.memorisation(generated)
    found |= coverage.class_metrics(random.uniform(size=(9, 2)), [0.5, 0.5])
    found |= coverage.histogram_metrics(np.arange(4), np.full(4, 0.25))
    skeleton, mode_of = np.zeros((1, 2)), np.zeros(1, int)
    found |= coverage.mode_metrics(random.normal(size=(9, 2)), skeleton, mode_of, 1)
    assert set(found) | {"frechet_ratio", "frechet_split_ratio", "auc"} == set(METRICS)


def test_the_line_of_an_epoch_reads_the_table():
    assert epoch_text({"modes": 8, "good": 0.974, "loss": 1}) == "8 modes, 97% good"
    assert epoch_text({"frechet": 0.003841, "recall": 0.5}) == "FD 0.003841"
    assert epoch_text({"loss": 1}) == ""


def test_evaluation_compares_in_what_the_run_compared_in(tiny_run, tmp_path):
    folder, done = tiny_run
    compared = "principal components of the pixels (no classifier of these data comes with the"
    assert f"compared    in {compared}" in done.stdout
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
    measured = image_evaluator(data[0]).reference()
    path, = (tmp_path / "gan").glob("reference_*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_text())
    kept["metrics"]["recall"] = 0.125  # as nothing measured it
    path.write_text(json.dumps(kept))
    assert image_evaluator(data[1]).reference()["recall"] == 0.125
    assert image_evaluator(data[2]).reference()["recall"] != 0.125  # other test images
    for damaged in ("", "[]", '{"metrics": {"recall": NaN}, "left_out": {}}', '{"metrics": {}}'):
        path.write_text(damaged)
        assert image_evaluator(data[1]).reference() == measured
