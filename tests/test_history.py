"""The rows of history.csv and steps.csv, whatever the calls and resumptions; log.txt."""

import csv
import json

import numpy as np
import pytest

from gan.run.history import History
from gan.training import MEASURES
from tests.test_scripts import history


def rates(step):
    return 1e-3, 1e-3 / step


def test_rows_are_means_however_the_steps_are_grouped(tmp_path):
    measures = np.random.default_rng(0).normal(size=(23, len(MEASURES))).astype(np.float32)
    whole = History(5, 10, rates)
    rows = whole.add_steps(23, measures, 0.0)
    assert [row["step"] for row in rows] == [5, 10, 15, 20] and rows == whole.log
    assert [row["epoch"] for row in rows] == [0.5, 1, 1.5, 2]
    for number, row in enumerate(rows):
        mean = measures[5 * number : 5 * number + 5].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose([row[name] for name in MEASURES], mean)
        assert row["discriminator_learning_rate"] == 1e-3 / row["step"]

    parts = History(5, 10, rates)
    parts.add_steps(3, measures[:3], 0.0)
    parts.add_steps(12, measures[3:12], 0.0)
    parts = History(5, 10, rates, json.loads(json.dumps(parts.to_dict())))
    assert [row["step"] for row in parts.add_steps(23, measures[12:], 0.0)] == [15, 20]
    assert parts.to_dict() == whole.to_dict()


@pytest.mark.parametrize("wrong", [
    {"rows": [[1, 2]]}, {"sums": ["a"]}, {"sums": [1.0]}])
def test_what_is_no_log_is_refused(wrong):
    saved = History(5, 10, rates).to_dict()
    with pytest.raises((TypeError, ValueError)):
        History(5, 10, rates, saved | {"log": saved["log"] | wrong})


def test_a_change_is_noted_once_and_metrics_in_other_features_are_not_mixed():
    run = History(5, 10, rates)
    run.note_changes(5, {"ema": (0.9, 0.5)})
    for epoch in (1, 2, 3):
        run.add_steps(5 * epoch, np.ones((5, 7), np.float32), 1.0)
        run.compare_in("pixels")
        run.finish_epoch(epoch, 5 * epoch, 16)["frechet"] = 1 / epoch
        run = History(5, 10, rates, json.loads(json.dumps(run.to_dict())))
    assert [row.get("changed") for row in run.rows] == [None, "ema 0.9 to 0.5", None]
    assert [row["images_per_second"] for row in run.rows] == [80, 80, 80]
    assert [(row["step"], row["seconds"]) for row in run.log] == [(5, 1), (10, 2), (15, 3)]
    run.compare_in("pixels")
    assert [row.get("frechet") for row in run.rows] == [1, 1 / 2, 1 / 3]
    run.compare_in("classifier")
    assert [row.get("frechet") for row in run.rows] == [None, None, None]
    assert run.rows[1]["epoch"] == 2 and run.rows[1]["generator_loss"] == 1


def test_a_run_logs_some_two_hundred_rows_and_what_it_printed(tiny_run):
    folder, output = tiny_run
    assert json.loads((folder / "config.json").read_text())["log_interval"] == 1  # of 40 steps
    with open(folder / "steps.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    mean = np.mean([float(row["generator_loss"]) for row in rows[20:]])
    assert mean == pytest.approx(float(history(folder)[-1]["generator_loss"]))
    # The learning rates fall over the second half, to a tenth.
    assert float(rows[19]["generator_learning_rate"]) == pytest.approx(1.5e-3)
    assert float(rows[-1]["generator_learning_rate"]) == pytest.approx(1.5e-4)
    assert output and (folder / "log.txt").read_text() == output
