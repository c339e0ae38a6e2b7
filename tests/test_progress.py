"""What a run prints about its epochs and writes into history.csv, steps.csv and log.txt."""

import csv
import io
import json
import os
import re

import numpy as np
import pytest

from gan.run import progress
from gan.run.history import History
from gan.training import MEASURES
from tests.test_scripts import history

ROW = {"discriminator_loss": 1.2, "generator_loss": 0.8, "real_score": 0.6, "fake_score": 0.4,
       "discriminator_accuracy": 0.7, "seconds": 1.0, "images_per_second": 1000.0}


@pytest.mark.parametrize(("epochs", "seconds", "most"), [
    (1000, 0.2, 40), (100, 4.9, 50), (20, 6.0, 20), (3, 60.0, 3)])
def test_a_line_an_epoch_but_not_two_a_second(epochs, seconds, most, capsys, monkeypatch):
    clock, printed = [100.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = progress.Progress(epochs, 1, 1, 0, stream=io.StringIO())
    for epoch in range(1, epochs + 1):
        clock[0] += seconds
        shown.epoch_line({**ROW, "epoch": epoch})
        if capsys.readouterr().out:
            printed.append(clock[0])
    gaps = np.diff(printed)
    assert len(printed) <= most + 1 and printed[-1] == clock[0]
    assert max(gaps) <= max(10, seconds + 1e-6) and (gaps[:-1] >= 5).all()


@pytest.mark.parametrize(("row", "unit", "log_odds"), [
    ({}, "img", True), ({"augmentation": 0.25, "frechet": 12.345}, "img", True),
    ({"modes": 8, "good": 0.97}, "points", True), ({"real_score": -1.5e-5}, "points", False)])
def test_what_is_said_of_an_epoch_fits_eighty_columns(row, unit, log_odds, capsys):
    shown = progress.Progress(1000, 1, 1, 0, io.StringIO(), unit=unit, log_odds=log_odds)
    shown.epoch_line({**ROW, "epoch": 999, "seconds": 99999.9, "images_per_second": 1e5,
                      "discriminator_loss": 12.345, **row})
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch  999/1000 99999.9 s")
    assert all(len(line) <= 80 for line in [first, *others])
    assert all(line.startswith(" " * 12) and line[12] != " " for line in others)
    text = "".join([first, *others])
    assert ("D(x) 60% D(G(z)) 40%" in text) == log_odds
    assert ("D(x) -1.5e-05 D(G(z)) 0.4" in text) == (not log_odds)


def test_the_bar_is_wide_enough_to_be_read(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    shown = progress.Progress(162, 100, 64, 0, stream=terminal)
    for step in range(1, 50):
        shown.update(1 + step // 40, np.full((1, 7), 1.25, np.float32))
    shown._bar.refresh()
    line = terminal.getvalue().split("\r")[-1]
    bar = re.search(r"\|(.*)\|", line)[1]
    assert len(bar) >= 10 and len(line) <= 80
    assert line.startswith("epoch 2/162   0% |") and "loss D 1.25 G 1.25" in line
    shown.close()


def test_a_long_epoch_says_every_ten_seconds_how_far_it_is(capsys, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = progress.Progress(2, 1000, 64, 0, stream=io.StringIO())
    for _ in range(8):
        clock[0] += 6
        shown.update(1, np.full((50, 2), 0.5, np.float32))
    assert capsys.readouterr().out.splitlines() == [
        f"epoch 1/2  step {steps} of 2,000  loss D 0.500 G 0.500" for steps in (100, 200, 300, 400)]


def test_a_notebook_has_a_bar_in_the_output_of_its_cell(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    shown = progress.Progress(2, 1000, 64, 0)
    shown.update(1, np.full((50, 2), 0.5, np.float32))
    shown._bar.refresh()
    shown.close()
    output, errors = capsys.readouterr()
    assert "epoch 1/2" in output and output.endswith("\r") and errors == ""


def test_the_log_keeps_no_bar_and_reaches_the_disk(tmp_path, monkeypatch):
    terminal, flushed = io.StringIO(), []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_size))
    kept = progress.Transcript(terminal)
    kept.write("one\n")
    kept.write("\r 50% |##  |")
    kept.open(tmp_path / "log.txt")
    kept.write("\rtwo\r")
    kept.write("three\n")
    kept.close()
    assert (tmp_path / "log.txt").read_text() == "one\nthree\n" and flushed == [10]
    assert terminal.getvalue() == "one\n\r 50% |##  |\rtwo\rthree\n"


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


@pytest.mark.parametrize("wrong", [{"rows": [[1, 2]]}, {"sums": ["a"]}, {"sums": [1.0]}])
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
    assert json.loads((tiny_run / "config.json").read_text())["log_interval"] == 1  # of 40 steps
    with open(tiny_run / "steps.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    mean = np.mean([float(row["generator_loss"]) for row in rows[20:]])
    assert mean == pytest.approx(float(history(tiny_run)[-1]["generator_loss"]))
    # The learning rates fall over the second half, to a tenth.
    assert float(rows[19]["generator_learning_rate"]) == pytest.approx(1.5e-3)
    assert float(rows[-1]["generator_learning_rate"]) == pytest.approx(1.5e-4)
    output = tiny_run.with_suffix(".txt").read_text()
    assert output and (tiny_run / "log.txt").read_text() == output
