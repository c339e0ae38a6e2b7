"""The rows of steps.csv: means over an interval of steps, whatever the calls and resumptions."""

import csv
import json

import numpy as np
import pytest

from gan.training import MEASURES


@pytest.fixture
def step_log(tensorflow):
    from gan.run import history
    return history


def rates(step):
    return 1e-3, 1e-3 / step


def test_rows_are_means_however_the_steps_are_grouped(step_log, tmp_path):
    measures = np.random.default_rng(0).normal(size=(23, len(MEASURES))).astype(np.float32)
    whole = step_log.StepLog(5, 10, rates)
    rows = whole.add(23, measures, 2.5)
    assert [row["step"] for row in rows] == [5, 10, 15, 20] and rows == whole.rows
    assert [row["epoch"] for row in rows] == [0.5, 1, 1.5, 2]
    for number, row in enumerate(rows):
        mean = measures[5 * number : 5 * number + 5].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose([row[name] for name in MEASURES], mean)
        assert row["discriminator_learning_rate"] == 1e-3 / row["step"]

    parts = step_log.StepLog(5, 10, rates)
    parts.add(3, measures[:3], 2.5)
    parts.add(12, measures[3:12], 2.5)
    saved = json.loads(json.dumps(parts.to_dict()))
    parts = step_log.StepLog(5, 10, rates, saved)
    assert [row["step"] for row in parts.add(23, measures[12:], 2.5)] == [15, 20]
    assert parts.rows == whole.rows and parts.to_dict() == whole.to_dict()

    whole.write_csv(tmp_path / "steps.csv")
    with open(tmp_path / "steps.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["generator_loss"]) for row in read] == [row["generator_loss"] for row in rows]


def test_what_is_no_log_is_refused(step_log):
    saved = step_log.StepLog(5, 10, rates).to_dict()
    for wrong in ({"rows": [[1, 2]]}, {"rows": [["a"] * len(step_log.LOG_COLUMNS)]}):
        with pytest.raises(ValueError):
            step_log.StepLog(5, 10, rates, saved | wrong)


def test_a_run_logs_some_two_hundred_rows(tiny_run):
    folder, _ = tiny_run
    config = json.loads((folder / "config.json").read_text())
    assert config["log_interval"] == 1  # of 40 steps
    with open(folder / "steps.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    with open(folder / "history.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    mean = np.mean([float(row["generator_loss"]) for row in rows[20:]])
    assert mean == pytest.approx(float(last["generator_loss"]))
    # The learning rates fall over the second half, to a tenth.
    assert float(rows[19]["generator_learning_rate"]) == pytest.approx(1.5e-3)
    assert float(rows[-1]["generator_learning_rate"]) == pytest.approx(1.5e-4)


def test_a_run_keeps_what_it_printed(tiny_run):
    folder, done = tiny_run
    assert done.stdout and (folder / "log.txt").read_text() == done.stdout
