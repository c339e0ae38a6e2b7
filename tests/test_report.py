"""report.html: what it says, how large it gets, what it does with hostile names."""

import base64
import csv
import dataclasses
import io
import json
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan.drawing.images import enlarge, epoch_picture, pictures_in, write_png
from gan.report import __main__ as report
from gan.report import comparison
from gan.report.__main__ import page_of
from gan.report.page import LiveReport
from gan.report.pictures import MOST_BYTES, MOST_FRAMES, choose, reduce
from gan.run.clock import Timers
from gan.run.content import RunContent, read_history, read_run
from gan.run.curves import thin
from gan.run.folder import RunFolder
from gan.run.history import History
from gan.run.options import parse_options
from tests.conftest import ROOT, assert_error, complete, run_python
from tests.test_scripts import history

EVIL = "<script>alert('1')</script>&\"'\u2028</title>"


def edit(path, **changes):
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def config(*options):
    config = parse_options(list(options))[0]
    return dataclasses.asdict(complete(config, (60_000, 28, 28, 1)))


def row(epoch, **values):
    return {"epoch": epoch, "step": 100 * epoch, "seconds": 2.0 * epoch,
            "images_per_second": 900.0, "discriminator_loss": 1.3, "generator_loss": 0.8,
            "real_score": 0.6, "fake_score": 0.4, "discriminator_accuracy": 0.6, **values}


def content(dataset=None, summary=None, **values):
    values["summary"] = {"data": dataset or {}, **(summary or {})}
    return RunContent(**{"name": "run", "folder": "run", "config": config(),
                         "rows": [row(1), row(2)], **values})


DATA = re.compile(r'id="data">(.*?)</script>', re.DOTALL)


def data_of(page):
    """The data that a page's script draws."""
    return json.loads(DATA.search(page)[1])


def text_of(page):
    return json.dumps(data_of(page), ensure_ascii=False).replace("\\\\", "\\")


def test_the_report_of_a_run_says_and_shows_what_came_out(tiny_run):
    page = (tiny_run / "report.html").read_text()
    text, data = text_of(page), data_of(page)
    summary = json.loads((tiny_run / "summary.json").read_text())
    assert "finished, 2 epochs" in text and not data["running"]
    assert ["steps", f"{summary['steps']:,}", ""] in data["tiles"]
    measured = [f"{summary['metrics'][whose][name]:.4g}" for whose in ("generated", "real")
                for name in ("recall", "precision")]
    for part in (*measured, "fraction of samples that lie among real ones",
                 f"Real: {summary['metrics']['real_source']}", summary["verdict"]["finding"][1:],
                 summary["device"], summary["versions"]["tensorflow"], "--base-channels",
                 "320 images", "train_gan.py --dataset", "--resume --epochs 4",
                 f"python {ROOT}/generate.py --output", f"python {ROOT}/make_gif.py",
                 "python -m gan.report"):
        assert part in text
    drawn = [loss for loss in data["panels"][0]["lines"][0]["y"] if loss is not None]
    assert drawn == pytest.approx([float(row["discriminator_loss"])
                                   for row in history(tiny_run, "steps.csv")], rel=1e-4)
    labels = [frame["label"] for frame in data["runs"][0]["frames"]]
    assert labels == ["epoch 0", *(f"step {step}" for step in (4, 6, 8, 11, 16)), "epoch 1",
                      "epoch 2"]
    page = data["runs"][0]
    for source, name in ((page["frames"][-1]["src"], "epoch_0002"), (page["real"], "real_samples")):
        kind, encoded = source.split(",")
        assert kind == "data:image/webp;base64"
        shown = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L")
        picture = Image.open(tiny_run / f"generated_images/{name}.png")
        picture = picture.resize(shown.size, Image.Resampling.NEAREST)
        error = np.abs(np.asarray(shown).astype(int) - np.asarray(picture))
        assert error.mean() < 6  # of 255 gray levels; noise is the hardest to keep


def test_a_report_is_made_again_but_a_users_is_never_overwritten(run, capsys):
    before = data_of((run / "report.html").read_text())
    assert report.main(["run"]) == 0 and capsys.readouterr().out.startswith("run/report.html: ")
    after = data_of((run / "report.html").read_text())
    assert before["runs"][0]["frames"] == after["runs"][0]["frames"]
    assert before["panels"] == after["panels"]
    (run / "report.html").write_text("<!doctype html>\n<p>mine")
    for options in (["run"], ["run", "--output", "run/report.html"]):
        assert_error("report.html exists; expected --force", report.main, options)
    assert report.main(["run", "--output", "page.html"]) == 0
    assert (run / "report.html").read_text() == "<!doctype html>\n<p>mine"


def test_no_text_of_the_data_becomes_html():
    changes = [{"step": 1, "option": EVIL, "before": EVIL, "now": EVIL}]
    evil = content(
        name=EVIL, folder=EVIL, config=config("--dataset", f"/tmp/{EVIL}", "--outdir", EVIL),
        dataset={"name": EVIL, "samples": 9, "shape": [8, 8, 1], "classes": [EVIL, "b"]},
        changes=changes, note=EVIL, state="diverged",
        summary={"device": EVIL, "precision": EVIL, "versions": {EVIL: EVIL}, "command": EVIL,
                 "verdict": {"kind": EVIL, "finding": EVIL, "text": EVIL + EVIL},
                 "seconds": {EVIL: 1.0}, "metrics": {"generated": {"recall": 0.5},
                                                     "features": {"description": EVIL}}})
    plain = content(dataset={"name": "x"}, summary={"metrics": {"generated": {"recall": 0.5}}})
    for count in (1, 2):
        page, expected = (page_of([run] * count) for run in (evil, plain))
        assert not re.search("[<>&\u2028]", DATA.search(page)[1])
        assert "<script>alert('1')</script>" in text_of(page)
        # Nothing else of the page depends on the data, but for its title.
        page, expected = (re.sub("<title>[^<]*</title>", "", DATA.sub("", each))
                          for each in (page, expected))
        assert page == expected


def test_a_broken_number_leaves_a_gap_and_a_name_that_is_no_text_is_escaped():
    page = page_of([content(folder="run\udcff", dataset={"name": "caf\udce9"},
                            rows=[row(1), row(2, generator_loss=float("nan"))])])
    assert data_of(page)["panels"][0]["lines"][1]["y"] == [0.8, None]
    assert "caf\\udce9" in text_of(page) and page.encode()


def test_curves_are_thinned_and_keep_their_extremes():
    rows = [row(epoch, generator_loss=1 + epoch * 1e-6) for epoch in range(1, 10_001)]
    rows[4567]["generator_loss"] = 99.0
    kept = thin(rows)
    assert 400 <= len(kept) <= 420 and rows[4567] in kept
    assert kept[0] is rows[0] and kept[-1] is rows[-1]
    assert kept == sorted(kept, key=lambda each: each["epoch"])
    assert thin(rows[:300]) == rows[:300]


def test_chosen_pictures_are_few_and_evenly_spaced():
    for count in (31, MOST_FRAMES + 1, 1000, 10_001):
        chosen = choose(list(range(count)))
        assert chosen[0] == 0 and chosen[-1] == count - 1
        assert chosen == [*range(count)] if count <= MOST_FRAMES else (
            MOST_FRAMES / 2 < len(chosen) <= MOST_FRAMES)
    for count in range(2, 300):  # what is chosen now was chosen before, or is new
        assert set(choose(list(range(count + 1)))[:-1]) <= {*choose(list(range(count))), count}


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_enlarged_pictures_are_reduced(shape):
    small = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for factor in (1, 2, 3, 16):
        np.testing.assert_array_equal(reduce(enlarge(small, factor)), small)


def test_ten_thousand_epochs_make_a_file_of_bounded_size(tmp_path):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (700, 700, 3), np.uint8)  # the worst to compress
    for number in range(3):
        write_png(epoch_picture(tmp_path, number), noise)
    rows = [row(epoch, good=random.random(), modes=8, generator_loss=random.random())
            for epoch in range(1, 10_001)]
    page = page_of([content(rows=rows, pictures=pictures_in(tmp_path))])
    assert len(page) < len(data_of(page)["runs"][0]["frames"]) * MOST_BYTES * 4 / 3 + 300_000


def test_history_is_read_as_it_was(tmp_path):
    run = History(1, 1, None)
    gradients = {"generator_gradient": 1.0, "discriminator_gradient": 2.0}
    run.rows = [row(1, **gradients), row(2, **gradients, frechet=1.5, changed="lr 1 to 2")]
    run.write(RunFolder(tmp_path))
    assert read_history(tmp_path / "history.csv") == run.rows


def test_a_live_report_has_the_latest_steps_and_the_state(run):
    history = SimpleNamespace(log=[row(3), row(4, generator_loss=0.5)])
    LiveReport(RunFolder(run), history, Timers(), {"device": "abacus"}).write("interrupted")
    data = data_of((run / "report.html").read_text())
    assert data["state"] == ["interrupted", "interrupted, 2 of 2 epochs"]
    assert ["steps", "400", ""] in data["tiles"] and "abacus" in json.dumps(data["tables"])
    assert [loss for loss in data["panels"][0]["lines"][1]["y"] if loss] == [0.8, 0.5]


@pytest.mark.parametrize("defect", [False, True])
def test_a_report_that_cannot_be_written_ends_nothing(run, capsys, monkeypatch, defect):
    if defect:
        monkeypatch.setattr("gan.report.page.run_page", lambda _: 1 // 0)
    else:
        (run / "report.html").unlink()
        (run / "report.html").mkdir()
    writer = LiveReport(RunFolder(run), SimpleNamespace(log=[]), Timers(), {"device": "CPU"})
    writer.write(at_once=True)
    writer.write(at_once=True)
    told = capsys.readouterr().err
    assert told.count("warning: report.html could not be written: ") == 1
    assert ("Traceback" in told) == defect


def test_several_runs_are_compared(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    edit(other / "config.json", epochs=1, lr_g=0.001)
    edit(other / "summary.json", epochs=1)
    header, first, _ = (run / "history.csv").read_text().splitlines(keepends=True)
    (other / "history.csv").write_text(header + first)
    (other / "generated_images" / "epoch_0002.png").unlink()
    assert report.main(["run", "other"]) == 0
    data = data_of((tmp_path / "comparison.html").read_text())
    shown = data["comparison"]
    assert {head["text"] for head in shown["head"] if isinstance(head, dict)} == {
        "--epochs", "--lr-g"}
    assert [row[0]["text"] for row in shown["rows"]] == ["run", "other"]
    assert [line["label"] for line in data["panels"][-1]["lines"]] == ["run", "other"]
    assert [each["frames"][-1]["label"] for each in data["runs"]] == ["epoch 2", "epoch 1"]
    assert_error("comparison.html exists", report.main, ["run", "other"])
    assert report.main(["run", "other", "--force"]) == 0


def test_a_run_that_was_killed_or_is_made_longer_is_unfinished(run):
    assert read_run(run).state == "finished"
    edit(run / "config.json", epochs=5)
    assert read_run(run).state == "unfinished"
    (run / "summary.json").unlink()
    (run / ".train_gan.lock").write_text("999999999")
    found = read_run(run)
    assert found.state == "unfinished" and found.summary == {} and found.epochs == 2
    assert "not finished, so not judged yet" in text_of(page_of([found])).lower()


@pytest.mark.parametrize(("name", "changed"), [
    ("config.json", {"epochs": "many"}), ("config.json", {"loss": "none"}),
    ("summary.json", {"metrics": 1}), ("summary.json", {"verdict": "good"}),
    ("summary.json", {"seconds": {"training": "long"}}),
    ("summary.json", {"seconds": {"training": float("inf")}}),
    ("summary.json", {"metrics": {"generated": {"recall": float("nan")}, "real": {}}}),
    *((name, None) for name in ("config.json", "history.csv", "summary.json")),
    ("config.json", "gone")])
def test_a_changed_or_broken_file_of_the_run_is_one_line(run, name, changed):
    if changed == "gone":
        (run / name).unlink()
    elif changed:
        edit(run / name, **changed)
    else:
        (run / name).write_text("epoch,step\nx,y\n")
    assert_error("run(/.*)?: expected the .* of a run", report.main, ["run"])


def test_runs_that_differ_in_their_seed_are_one_row(tmp_path):
    def run(loss, seed, frechet):
        options = "--loss", loss, "--seed", str(seed), "--outdir", f"{loss}_{seed}"
        return content(name=f"{loss}_{seed}", config=config(*options), summary={
            "verdict": {"finding": "good: near" if seed else "mode collapse: 3 of 10 classes"},
            "metrics": {"generated": {"frechet": frechet, "recall": 0.5},
                        "real": {"frechet": 1.0}}})

    runs = [run("hinge", seed, frechet) for seed, frechet in enumerate([1.0, 2.0, 6.0])]
    compared = [runs[0], run("lsgan", 1, 4.0), *runs[1:]]
    head, _, hinge, lsgan = ([cell.strip() for cell in line.split("|")[1:-1]]
                             for line in comparison.markdown(compared).splitlines())
    assert head[:5] == ["run", "n", "Fréchet distance", "recall", "--loss"]
    assert hinge[:4] == ["hinge", "3", "3 ± 2.6", "0.5 ± 0"]  # the square root of 7
    assert hinge[-1] == "2 good, 1 mode collapse"
    assert lsgan[:3] == ["lsgan_1", "1", "4"] and lsgan[-1] == "good: near"
    rows = list(csv.DictReader(io.StringIO(comparison.csv_text(compared))))
    assert float(rows[0]["frechet_std"]) == pytest.approx(7**0.5) and rows[1]["frechet_std"] == ""
    assert rows[0]["seed"] == "0, 1, 2" and rows[0]["loss"] == "hinge"
    data = data_of(page_of(runs))
    assert [cell["text"] for cell in data["comparison"]["rows"][0][:2]] == ["hinge", "3"]
    assert [line["label"] for line in data["panels"][-1]["lines"]] == ["hinge", "", ""]
    assert [run["color"] for run in data["runs"]] == [0, 0, 0]


def test_the_report_of_a_finished_run_needs_no_tensorflow(run):
    run_python("-c", """
import sys
from gan.report.__main__ import main
main(["run"])
main(["run", "run", "--output", "table.md"])
main(["run", "run", "--output", "table.csv"])
assert "tensorflow" not in sys.modules""", cwd=run.parent,
               env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "Fréchet distance" in (run.parent / "table.md").read_text()
    assert "frechet" in (run.parent / "table.csv").read_text()
