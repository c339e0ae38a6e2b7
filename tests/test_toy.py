"""Simulated points, and runs on them."""

import csv

import numpy as np
import pytest

from gan.data import points
from gan.evaluate import metrics
from tests.conftest import run_script


@pytest.mark.parametrize("name", points.DISTRIBUTIONS)
def test_points_lie_around_their_skeleton(name):
    data = points.simulate(name)
    assert data.points.shape == (points.COUNT, 2) and data.points.dtype == np.float32
    assert np.abs(data.points).max() < data.extent
    found = metrics.mode_metrics(data.test_points, data.skeleton, data.mode_of, data.deviation)
    assert found["modes"] == data.mode_of.max() + 1
    # 3 deviations hold 1 - exp(-9 / 2) of a Gaussian in the plane; of one across a
    # line 0.997, and near a curve something between.
    assert 0.985 < found["good"] < 0.9985
    assert found["imbalance"] < 0.02
    assert points.simulate(name).fingerprint == data.fingerprint


def test_the_ring_has_eight_gaussians_on_a_circle_of_two():
    data = points.simulate("ring")
    assert len(data.skeleton) == 8
    np.testing.assert_allclose(np.hypot(*data.skeleton.T), 2, rtol=1e-6)
    near = data.points[np.hypot(*(data.points - data.skeleton[0]).T) < 0.5]
    np.testing.assert_allclose(near.std(axis=0), 0.02, rtol=0.05)


def test_the_grid_has_places_two_apart():
    data = points.simulate("grid")
    assert sorted(set(data.skeleton.ravel())) == [-4, -2, 0, 2, 4] and len(data.skeleton) == 25


@pytest.mark.parametrize("name", ["moons", "swiss_roll", "line"])
def test_pieces_of_a_curve_are_as_long_as_each_other(name):
    data = points.simulate(name)
    steps = np.hypot(*np.diff(data.skeleton, axis=0).T)
    steps = steps[steps < 0.5]  # the gap between two moons
    assert steps.max() / steps.min() < 1.3


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


def test_a_run_on_points_is_drawn_from(trained, command, refused, tmp_path):
    said = trained("--dataset", "grid", "--base-channels", 2, "--epochs", 2, "--num-samples", 100)
    assert "grid: 102,400 points, no labels" in said and "good" in said
    for name in ("generated_images/epoch_0002.png", "loss_curves.png"):
        assert (tmp_path / name).exists(), name
    assert "modes,good,imbalance,spread" in (tmp_path / "history.csv").read_text()
    for name in ("points.csv", "points.npz", "points.png"):
        assert command("generate.py", "--output", name, "--num-images", 7)[0] == 0
    lines = (tmp_path / "points.csv").read_text().splitlines()
    saved = np.load(tmp_path / "points.npz")
    assert lines[0] == "seed,x,y" and saved["points"].dtype == np.float32
    table = np.array([line.split(",") for line in lines[1:]], np.float64)
    np.testing.assert_array_equal(table[:, 0], saved["seeds"])
    np.testing.assert_array_equal(table[:, 1:].astype(np.float32), saved["points"])
    assert (tmp_path / "points.png").stat().st_size > 1000
    for options, text in (
            ("--grid=2x2", "--grid: expected a generator of images"),
            ("--interpolate=0,1", "--interpolate: expected a generator of images"),
            ("--seed=1", "--output: expected a file that ends in .png, .npz, .csv"),
            ("--output=a.png --label=1", "--label: needs a generator that was")):
        assert text in refused("generate.py", *options.split(), "--force")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modes", "good"), [("ring", 8, 0.95), ("grid", 24, 0.9)])
def test_the_default_run_learns_every_mode(name, modes, good, tmp_path):
    done = run_script("train_gan.py", "--dataset", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    last = list(csv.DictReader((tmp_path / "history.csv").open()))[-1]
    assert int(last["modes"]) >= modes and float(last["good"]) >= good
    assert "verdict     good" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    ["--loss", "minimax"], ["--loss", "lsgan"], ["--loss", "hinge"], ["--loss", "relativistic"],
    ["--loss", "wgan"], ["--loss", "wgan", "--gradient-penalty", "wgan-gp", "--gp-weight", "10"],
])
def test_every_loss_learns_the_ring(options, tmp_path):
    done = run_script("train_gan.py", "--dataset", "ring", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    last = list(csv.DictReader((tmp_path / "history.csv").open()))[-1]
    assert int(last["modes"]) >= 7 and float(last["good"]) > 0.5
