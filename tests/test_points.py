"""Points of the line and the plane, simulated and a user's own, and runs on them."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

import gan
from gan.data import points
from gan.data.datasets import load_dataset
from gan.drawing.plots import point_plot
from gan.evaluate import metrics
from gan.evaluate.evaluator import Evaluator
from tests.conftest import assert_refused, run_script


@pytest.mark.parametrize("name", points.DISTRIBUTIONS)
def test_points_lie_around_their_skeleton(name):
    data = load_dataset(name)
    assert data.images.shape == (points.COUNT, 2) and data.images.dtype == np.float32
    assert (np.abs(data.images).max(axis=0) < data.box.extent).all()
    found = metrics.mode_metrics(data.test_images, *data.modes)
    assert found["modes"] == data.modes.mode_of.max() + 1
    # 3 deviations hold 1 - exp(-9 / 2) of a Gaussian in the plane; of one across a
    # line 0.997, and near a curve something between.
    assert 0.985 < found["good"] < 0.9985
    assert found["imbalance"] < 0.02
    assert load_dataset(name).fingerprint == data.fingerprint


def test_the_ring_has_eight_gaussians_and_the_grid_25():
    data = load_dataset("ring")
    skeleton, places = data.modes.skeleton, load_dataset("grid").modes.skeleton
    assert len(skeleton) == 8 and len(places) == 25
    assert sorted(set(places.ravel())) == [-4, -2, 0, 2, 4]
    np.testing.assert_allclose(np.hypot(*skeleton.T), 2, rtol=1e-6)
    near = data.images[np.hypot(*(data.images - skeleton[0]).T) < 0.5]
    np.testing.assert_allclose(near.std(axis=0), 0.02, rtol=0.05)


def test_mode_metrics_of_points_counted_by_hand():
    skeleton, mode_of = np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([0, 1])
    points = np.array([[0, 0], [0, 2], [10, 1], [5, 0]], float)
    found = metrics.mode_metrics(points, skeleton, mode_of, 1.0)
    assert found["modes"] == 2 and found["good"] == 0.75
    assert found["imbalance"] == pytest.approx(2 / 3 - 1 / 2)
    assert found["spread"] == pytest.approx(np.sqrt((0 + 4 + 1) / 3))
    assert metrics.mode_metrics(points[:2], skeleton, mode_of, 1.0)["modes"] == 1
    far = metrics.mode_metrics(points + 100, skeleton, mode_of, 1.0)
    assert far == {"modes": 0, "good": 0, "imbalance": 0.5, "spread": 0}


# A user's own points.

BODIES = np.random.default_rng(0).normal([170, 60], [4, 0.5], (600, 2))  # no unit is like another
TABLE = "170,60\n171.5,6e1\n168,61.25\n"


@pytest.mark.parametrize(("name", "content"), [
    ("a.npy", BODIES), ("a.npy", BODIES[:, :1]), ("a.npy", BODIES[:, 0]),
    ("a.npy", BODIES.round().astype(np.int16)), ("a.npz", {"x_train": BODIES}),
    ("a.npz", {"points": BODIES, "seeds": np.arange(600)}),
    ("a.npz", {"x_train": BODIES, "x_test": BODIES[:50], "y_train": np.arange(600) % 2})])
def test_arrays_of_points(tmp_path, name, content, capsys):
    if isinstance(content, dict):
        np.savez(tmp_path / name, **content)
    else:
        np.save(tmp_path / name, content)
        content = {"x_train": content}
    data = load_dataset(str(tmp_path / name))
    assert data.images.dtype == np.float32 and data.modes is None
    expected = content.get("x_train", content.get("points")).reshape(600, -1)
    np.testing.assert_allclose(data.images, expected, rtol=1e-6)
    np.testing.assert_allclose(data.box.center, data.images.mean(axis=0), rtol=1e-5)
    assert (np.abs(data.images - data.box.center) < data.box.extent).mean() > 0.99
    assert (data.test_images is not None) == ("x_test" in content)
    if "x_test" in content:
        found, given = data.test_images[:, 0].tolist(), BODIES[:50, 0].astype(np.float32).tolist()
        assert found != given and sorted(found) == sorted(given)  # plots show the first
        np.testing.assert_array_equal(data.examples(9), data.test_images[:9])
        assert "without their labels" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "expected"), [
    (TABLE, [[170, 60], [171.5, 60], [168, 61.25]]),
    (TABLE.replace(",", ";"), [[170, 60], [171.5, 60], [168, 61.25]]),
    ("weight, height\n" + TABLE, [[170, 60], [171.5, 60], [168, 61.25]]),
    ('\ufeff"seed","Y","X"\n0,1,2\n1,3,5\n', [[2, 1], [5, 3]]),  # as generate.py writes it
    ("1\n2\n4\n", [[1], [2], [4]]), ("x\n1\n2\n", [[1], [2]])])
def test_tables_of_points(tmp_path, text, expected):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "a.csv")).images, expected)


@pytest.mark.parametrize(("content", "expected"), [
    (np.full((9, 2), np.nan), "expected finite numbers, got: [nan, nan] in row 0"),
    (np.array([[1, 2], [3, np.inf]]), "got: [3.0, inf] in row 1"),
    (np.array([[1, 2], [1, 3.0]]), "leave out what is constant"),
    (BODIES + 1e7, "subtract the mean"), (BODIES[:1], "N at least 2"),
    (np.array(["a", "b"]), "expected numbers [N, 2] or [N, 1]"),
    ("1,2,3\n4,5,6\n", "expected one or two columns, or some with the headings x and y, got: 3"),
    ("x,y\n1,2\n3,four\n", "expected a table of numbers, got a damaged file"),
    ("1,2\n3\n", "expected a table of numbers"), ("1,\xff\n", "expected a table of numbers")])
def test_points_that_cannot_be_learned(tmp_path, content, expected):
    path = tmp_path / ("a.csv" if isinstance(content, str) else "a.npy")
    if isinstance(content, str):
        path.write_bytes(content.encode("latin-1"))
    else:
        np.save(path, content)
    assert_refused(path, f"{path}.*{re.escape(expected)}")


@pytest.mark.parametrize("tests", [False, True])
def test_own_points_are_measured_by_their_coordinates(tmp_path, tests):
    arrays = {"x_train": BODIES[:500], "x_test": BODIES[500:]}
    np.savez(tmp_path / "a.npz", **(arrays if tests else {"x_train": BODIES[:500]}))
    evaluator = Evaluator(load_dataset(str(tmp_path / "a.npz")))
    found = evaluator.measure(BODIES[:500])
    assert found["frechet"] == pytest.approx(0, abs=1e-6)
    assert found["precision"] > 0.9 and found["recall"] > 0.9
    assert found.keys() - {"frechet_ratio"} == evaluator.real().keys()
    assert evaluator.real_source() == (
        "100 test points" if tests else "83 training points against the others")
    # In standard deviations: one of each axis is 1, whatever its unit.
    moved = evaluator.measure(BODIES[:500] + BODIES[:500].std(axis=0) * [1, 0])
    assert moved["frechet"] == pytest.approx(1, rel=1e-3) and moved["precision"] < 1
    alike = evaluator.measure(np.tile(BODIES[:5], (100, 1)))
    assert alike["recall"] < 0.2


def test_points_are_drawn_where_they_are():
    box = points.Box((170.0, 60.0), (20.0, 2.0))
    elsewhere = point_plot(box, generated=np.array([[0.0, 0.0]]))

    def place_of(*point):
        found = (point_plot(box, generated=np.array([point])) != elsewhere).any(axis=-1)
        return np.argwhere(found).mean(axis=0)

    low, middle, high = place_of(160, 59), place_of(170, 60), place_of(180, 61)
    np.testing.assert_allclose(high - middle, middle - low, atol=1.5)
    assert high[1] - low[1] > 250 and low[0] - high[0] > 250
    bars = point_plot(points.Box((0.0,), (4.0,)), real=np.array([[1.0]] * 5 + [[-1.0]]))
    blue = (bars[..., 2] / 255 > bars[..., 0] / 255 + 0.2)[200:].sum(axis=0)  # below the legend
    assert blue[330:].max() > 1.5 * blue[:330].max() > 0


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_run_on_own_points(dimensions, tmp_path, succeed):
    run = gan.train(BODIES[:, :dimensions], epochs=2, outdir="run", gradient_penalty="none")
    assert run.config["arch"] == "mlp" and run.config["batch_size"] == 256
    assert run.generator.sample(range(7)).shape == (7, dimensions)
    assert np.abs(run.generator.sample(range(99)).mean(axis=0) - [170, 60][:dimensions]).max() < 20
    assert {"frechet", "precision", "recall"} <= run.metrics.keys()
    assert Image.open("run/generated_images/epoch_0002.png").size == (660, 660)
    assert run.show().axes
    metadata = json.loads((tmp_path / "run/exported_model/assets.extra/gan.json").read_text())
    assert len(metadata["center"]) == len(metadata["extent"]) == dimensions
    np.save("a.npy", BODIES[:, :dimensions])
    assert "200 points, seeds from 0, compared in coordinates" in succeed(
        "gan.evaluate.__main__", "--model", "run", "--dataset", "a.npy", "--num-images", 200)
    for name in ("b.csv", "b.npz", "b.png"):
        succeed("generate.py", "--model", "run", "--output", name, "--num-images", 9)
    assert (tmp_path / "b.csv").read_text().split("\n")[0] == ["seed,x", "seed,x,y"][dimensions - 1]
    for again in (load_dataset("b.csv").images, np.load("b.npz")["points"]):
        np.testing.assert_allclose(again, run.generator.sample(range(9)), rtol=1e-6)


def test_what_points_do_not_have_is_refused(make_export, refused):
    export = make_export(None, "mlp", (2,), extent=3.0)
    for arguments, expected in (
            ("--output a.png --grid 2x2", "--grid: expected a generator of images"),
            ("--output a.png --interpolate 0,1", "--interpolate: expected a generator of images"),
            ("--seed 1", "--output: expected a file that ends in .png, .csv, .npz"),
            ("--output a.png --label 1", "--label: needs a generator that was")):
        assert expected in refused("generate.py", "--model", export, *arguments.split())


@pytest.mark.slow
@pytest.mark.parametrize(("options", "modes", "good"), [
    ("ring", 8, 0.95), ("grid", 24, 0.9), ("ring --loss minimax", 7, 0.5),
    ("ring --loss lsgan", 7, 0.5), ("ring --loss hinge", 7, 0.5),
    ("ring --loss relativistic", 7, 0.5), ("ring --loss wgan", 7, 0.5),
    ("ring --loss wgan --gradient-penalty wgan-gp --gp-weight 10", 7, 0.5)])
def test_every_mode_is_learned_with_every_loss(options, modes, good, tmp_path):
    done = run_script("train_gan.py", "--dataset", *options.split(), cwd=tmp_path)
    last = list(csv.DictReader((tmp_path / "history.csv").open()))[-1]
    assert int(last["modes"]) >= modes and float(last["good"]) >= good
    assert "verdict     good" in done.stdout or "loss" in options
