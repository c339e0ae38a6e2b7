"""Evaluator and registry of metrics: what is measured, what it is compared with, what is kept."""

import functools
import json
import re
import tracemalloc

import numpy as np
import pytest

from gan.data.datasets import Dataset, load_dataset
from gan.evaluate import __main__ as evaluate
from gan.evaluate import evaluator as evaluation
from gan.evaluate import features, metrics, registry
from gan.evaluate.evaluator import Drawn, Evaluator
from gan.evaluate.registry import METRICS, Metric, epoch_text
from tests.conftest import assert_error, draw_shapes, noise
from tests.test_pictures import write

COUNT = evaluation.COUNT  # before other tests make it smaller
IN_FEATURES = {"frechet", "kid", "precision", "recall"}


@pytest.mark.parametrize(("training", "test", "generated", "reference"), [
    (noise(3), None, {"precision", "recall"}, set()),
    (noise(40), noise(3, 1), set(), {"precision", "recall"}),
    (noise(40), noise(1, 1), set(), IN_FEATURES),
    (np.zeros((40, 16, 16, 1), np.uint8), noise(9), set(), set()),  # nothing varies
])
def test_what_cannot_be_measured_is_left_out_with_its_reason(training, test, generated, reference):
    evaluator = Evaluator(Dataset("few", training, test_images=test))
    found = evaluator.measure(noise(50, 2))
    assert found.keys() & IN_FEATURES == IN_FEATURES - generated
    assert "swd" in found  # which needs no features
    assert np.isfinite([*found.values(), *evaluator.reference().values()]).all()
    assert evaluator.left_out["generated"].keys() == generated
    assert evaluator.left_out["reference"].keys() == reference
    lines = dict(registry.summary_lines(found, evaluator))
    assert ("left out" in lines) == bool(generated or reference)


def test_every_metric_of_the_registry_is_measured(monkeypatch):
    def padded(seed):
        return np.pad(noise(50, seed), ((0, 0), (7, 7), (7, 7), (0, 0)))

    data = Dataset("some", padded(0), np.arange(50, dtype=np.int32) % 2, ("0", "1"),
                   test_images=padded(1))
    network = features.FeatureNetwork("classifier", features.build_classifier((30, 30, 1), 2), 0.9)
    network.statistics = metrics.statistics(network.extract(data.images)[0])
    monkeypatch.setattr(evaluation, "extractor_for", lambda *_: network)
    found = Evaluator(data).measure(padded(2), slow=True)
    ring = load_dataset("ring")
    found |= Evaluator(ring).measure(ring.test_images)
    assert found.keys() == METRICS.keys()


@pytest.mark.parametrize(("shape", "count"), [
    ((28, 28, 1), 10_000), ((128, 128, 3), 10_000), ((192, 256, 3), 3_333), ((512, 512, 3), 1_000)])
def test_fewer_large_images_are_generated(shape, count, monkeypatch):
    monkeypatch.setattr(evaluation, "COUNT", COUNT)
    assert Evaluator(Dataset("blank", np.broadcast_to(np.uint8(0), (6, *shape)))).count == count


@pytest.mark.parametrize("settings", [
    {"function": lambda comparison: comparison.features.mean()},
    {"per_image": lambda images, background: images.mean(axis=(1, 2, 3))}])
def test_a_new_metric_is_one_entry(monkeypatch, settings):
    new = Metric("warmth", "warmth", "reference", "how warm", epoch="warmth {:.3g}",
                 in_summary=True, **settings)
    monkeypatch.setitem(METRICS, "warmth", new)
    evaluator = Evaluator(Dataset("some", noise(50), test_images=noise(40, 1)))
    generated = noise(30, 2)
    found, real = evaluator.measure(generated), evaluator.reference()
    if "per_image" in settings:
        assert found["warmth"] == pytest.approx(generated.mean(), abs=1e-6)
    assert "warmth" in epoch_text(found)
    assert f"warmth {found['warmth']:.4g} (real {real['warmth']:.4g})" in (
        dict(registry.summary_lines(found, evaluator))["quality"])
    assert any("warmth" in line for line in registry.metrics_table(found, {"test": real}))


def test_distances_are_compared_with_those_of_as_many_real_images():
    """Of fewer images the Fréchet distance comes out larger, and so it must for both."""
    images = noise(1200)
    few = Evaluator(Dataset("some", images[:800], test_images=images[800:850]))
    found = few.measure(images[850:])
    assert found["frechet_ratio"] == pytest.approx(1, abs=0.15)
    assert few.reference()["frechet"] > 2 * found["frechet"]
    part = Evaluator(Dataset("some", images[:800], test_images=images[850:]), count=50)
    assert part.reference()["frechet"] == pytest.approx(few.reference()["frechet"], rel=0.15)
    assert part.real_source() == "50 test images"
    assert part.measure(images[800:850])["frechet_ratio"] == pytest.approx(1, abs=0.15)
    assert "frechet_ratio" not in part.measure(images[800:849])  # of fewer than 50
    # Precision and recall are of as many images on either side.
    assert found["recall"] == few.measure(images[850:900])["recall"]


def test_training_images_compared_with_each_other_are_a_second_baseline():
    images = draw_shapes(2_640, 0)[0][..., None]
    evaluator = Evaluator(Dataset("some", images[:240]))
    split = evaluator.split()
    assert split.keys() >= {*IN_FEATURES, "swd", "background", "stray_pixels"}
    assert evaluator.real() == split  # there are no test images
    assert evaluator.real_source() == "40 training images against the others"
    # By the same hand, they are nearer to each other than noise is to any.
    assert split["frechet"] < evaluator.measure(noise(240))["frechet"] / 5
    many, few = (evaluator.measure(part) for part in (images[240:], images[240:480]))
    assert [many[name] for name in ("precision", "recall", "kid")] == [
        few[name] for name in ("precision", "recall", "kid")]


def test_real_images_are_compared_from_all_classes_also_where_they_lie_class_by_class():
    def images(count, seed):  # all dim ones before all bright ones
        return np.concatenate([noise(count // 2, seed, high=64),
                               noise(count // 2, seed + 1, low=64)])

    by_class = Dataset("by class", images(8_000, 0), test_images=images(2_000, 2))
    evaluator = Evaluator(by_class)
    # Patches of 1,024 of them; the first 1,024 would be those of the dim class.
    dim_only = evaluator.measure(by_class.test_images)["swd"]
    assert evaluator.reference()["swd"] < dim_only / 10
    assert evaluator.split()["swd"] < dim_only / 10


def test_the_metrics_of_real_images_are_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = [Dataset("some", noise(50), test_images=noise(50, seed)) for seed in (1, 1, 2)]
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


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    """Images are drawn, described and forgotten in parts."""
    monkeypatch.setattr(metrics, "PATCHED", 32)
    monkeypatch.setattr(metrics, "VALUES", 2**19)  # ten images
    shape = (128, 128, 3)
    real = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    evaluator = Evaluator(Dataset("large", real), count=60)
    evaluator.measure(real[:5])  # what is kept of the real images
    drawn, peaks = [], []

    def draw(seeds):
        drawn.append(len(seeds))
        return np.random.default_rng(int(seeds[0])).integers(0, 256, (len(seeds), *shape), np.uint8)

    for count in (60, 180):
        drawn.clear()
        tracemalloc.start()
        evaluator.measure(Drawn(draw, count, shape=shape))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sum(drawn) == count and max(drawn) * np.prod(shape) <= metrics.VALUES
    assert peaks[1] < 1.1 * peaks[0]


def test_every_kind_of_damage_is_measured(mnist):
    evaluator = Evaluator(mnist, count=1000)
    images, labels = mnist.test_images[:1000], mnist.test_labels[:1000]
    assert evaluator.features()["accuracy"] >= 0.993
    right = evaluator.extractor.extract(images)[1].argmax(axis=1) == labels
    assert right.mean() >= 0.985  # the first half of the test set is the easier one

    grainy = images + np.random.default_rng(0).normal(0, 40, images.shape)
    blurred = (images + np.roll(images, 1, 1).astype(int) + np.roll(images, 1, 2)
               + np.roll(images, (1, 1), (1, 2))) // 4
    damaged = {
        "noise": np.clip(grainy, 0, 255).astype(np.uint8), "blur": blurred.astype(np.uint8),
        "dropped class": images[labels != 7], "few images": np.repeat(images[:20], 50, axis=0)}
    real = evaluator.measure(images)
    assert real["precision"] > 0.8 and real["recall"] > 0.8
    found = {name: evaluator.measure(worse) for name, worse in damaged.items()}
    for name, measured in found.items():
        assert measured["frechet"] > 1.5 * real["frechet"], name
    assert found["noise"]["precision"] < real["precision"]
    assert found["few images"]["recall"] < 0.3 * real["recall"]
    assert found["dropped class"]["classes"] == 9
    assert found["dropped class"]["imbalance"] > 0.09


@pytest.fixture
def measured(succeed, monkeypatch, tiny_run, tmp_path):
    """A function that runs `python -m gan.evaluate` on a run; returns what it prints."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return functools.partial(succeed, "gan.evaluate.__main__", "--model", tiny_run,
                             "--num-images", 200)


def test_evaluation_compares_in_what_the_run_compared_in(tiny_run, measured, tmp_path):
    said = measured("--json", "metrics.json")
    for printed in (tiny_run.with_suffix(".txt").read_text(), said):
        assert "compared in principal components of the pixels" in " ".join(printed.split())
    metadata = json.loads((tiny_run / "exported_model/assets.extra/gan.json").read_text())
    assert metadata["features"]["kind"] == "pixels" and metadata["features"]["accuracy"] is None
    assert max(map(len, said.splitlines())) <= 80
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["features"]["kind"] == "pixels"
    assert found["real_images"] == {"reference": 64, "split": 53}
    assert re.search(r"generated +test 64 +split 53\n", said)
    assert found["generated"].keys() >= {"frechet", "frechet_split_ratio", "nearest"}


def test_a_generator_of_training_images_is_shown_to_copy(measured, monkeypatch, tiny_npz, tmp_path):
    training = np.load(tiny_npz)["x_train"][..., None]
    monkeypatch.setattr(evaluate.SavedGenerator, "sample",
                        lambda saved, seeds: training[np.asarray(seeds) % len(training)])
    measured("--json", "found.json", "--neighbors")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["nearest"] == {"median_distance": 0.0, "times_training": 0.0}
    assert found["generated"]["nearest"] == 0
    assert (tmp_path / "neighbors.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("dataset", "option", "reason"), [
    (load_dataset("ring"), ["--neighbors"], "--neighbors needs a generator of images"),
    (load_dataset("ring"), ["--features", "pixels"], "--features needs a generator of images"),
    (Dataset("some", noise(9)), ["--features", "classifier"], "expected --features learned")])
def test_options_that_do_not_fit_the_data_are_refused(dataset, option, reason):
    assert_error(reason, evaluate.check, evaluate.make_parser().parse_args(option), dataset)


def test_the_fingerprint_says_whether_data_read_alike_are_the_same(tiny_npz, tmp_path, capsys):
    moved, other = tmp_path / "moved.npz", tmp_path / "other.npz"
    moved.write_bytes(tiny_npz.read_bytes())
    np.savez(other, x_train=draw_shapes(320, 9)[0])
    metadata = {"sample_shape": [16, 16, 1], "config": {},
                "fingerprint": load_dataset(str(tiny_npz)).fingerprint}
    for path, same in ((moved, True), (other, False)):
        evaluate.load_data(str(path), "gone.npz", metadata)
        assert ("does not hold the data" in capsys.readouterr().out) != same
    assert_error("^--dataset needed: the data .* are not in /gone.npz$",
                 evaluate.load_data, None, "/gone.npz", metadata)
    # Pictures are read as the run read them.
    pictures = tmp_path / "pictures"
    for number, image in enumerate(noise(2, size=64)):
        write(pictures / f"{number}.png", image[..., 0])
    trained_on = load_dataset(str(pictures), image_size=32, resample="nearest")
    metadata = {"sample_shape": [32, 32, 1], "config": {"resample": "nearest"},
                "fingerprint": trained_on.fingerprint}
    found = evaluate.load_data(None, str(pictures), metadata)
    assert found.fingerprint == trained_on.fingerprint
