"""report.html: what it says, how large it gets, what hostile names and a browser make of it."""

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
from tests.conftest import ROOT, assert_error, complete, run_python, wait_for
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


READY = "document.documentElement.dataset.ready === 'yes'"
SOURCE = "document.querySelector('#samples img').src"
FRAME = "document.getElementById('frame').textContent"
BROKEN_NUMBERS = """[...document.querySelectorAll('.number > *')].filter(
    each => each.getClientRects().length !== 1).length"""


@pytest.fixture
def page_file(tmp_path):
    """A function that writes the report of a run with given rows and state."""
    random = np.random.default_rng(0)

    def write(epochs, **values):
        for epoch in range(epochs + 1):
            path = epoch_picture(tmp_path, epoch)
            if not path.exists():
                write_png(path, random.integers(0, 256, (40, 40), np.uint8))
        run = content(rows=[row(epoch + 1) for epoch in range(epochs)],
                      pictures=pictures_in(tmp_path), **values)
        (tmp_path / "report.html").write_text(page_of([run]))
        return tmp_path / "report.html"

    return write


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (390, True)])
def test_the_slider_moves_and_the_picture_changes(open_page, tiny_run, width, dark):
    frames = data_of((tiny_run / "report.html").read_text())["runs"][0]["frames"]
    page = open_page(tiny_run / "report.html", width, dark=dark)
    assert page.evaluate(READY) and page.evaluate(SOURCE) == frames[-1]["src"]
    for frame in frames[-2::-1]:
        page.locator("#slider").press("ArrowLeft")
        assert page.evaluate(SOURCE) == frame["src"]
        assert page.evaluate(FRAME) == frame["label"]
    wait_for(page, "[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate(BROKEN_NUMBERS) == 0
    page.evaluate("document.getElementById('play').click()")
    wait_for(page, f"{FRAME} === 'epoch 2'")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_dark_and_light_differ_and_can_be_read(open_page, page_file):
    """The contrast of text to its background is at least 4.5, as WCAG 2 asks (level AA)."""
    script = """['body', '.quiet', '.over', '#state', 'dt'].map(name => {
        const text = document.querySelector(name);
        let below = text;
        const clear = each => getComputedStyle(each).backgroundColor === 'rgba(0, 0, 0, 0)';
        while (clear(below)) below = below.parentElement;
        return [getComputedStyle(text).color, getComputedStyle(below).backgroundColor]
            .map(color => color.match(/\\d+/g).slice(0, 3).map(Number));
    })"""
    found = {}
    for dark in (False, True):
        page = open_page(page_file(2), dark=dark)
        found[dark] = page.evaluate(script)
    assert found[False] != found[True]
    for text, background in found[False] + found[True]:
        lighter, darker = sorted([luminance(text), luminance(background)], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, background)


def luminance(color):
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    parts = np.array(color) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_values_appear_under_pointer_finger_and_keys(open_page, page_file):
    path = page_file(3)
    tip = "document.querySelector('.tip').textContent"
    hidden = "document.querySelector('.tip').hidden"
    page = open_page(path)
    page.evaluate("document.getElementById('curves').scrollIntoView()")
    x, y, width, height = page.locator(".area svg").first.bounding_box().values()
    assert page.evaluate(hidden)
    page.mouse.move(x + width / 2, y + height / 2)
    assert page.evaluate(tip) == "epoch 2discriminator 1.3generator 0.8"
    page.mouse.move(1, 1)
    assert page.evaluate(hidden)
    page.locator(".area svg").first.press("ArrowRight")
    assert page.evaluate(tip).startswith("epoch 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(tip).startswith("epoch 3")
    page.select_option("#axis", "step")
    page.mouse.move(x + width - 5, y + height / 2)
    assert page.evaluate(tip).startswith("step 300")
    page = open_page(path, 390)
    page.evaluate("document.getElementById('curves').scrollIntoView()")
    x, y, width, height = page.locator(".area svg").first.bounding_box().values()
    # A finger that stays: `touchscreen.tap` would lift it, and move the mouse there.
    page.context.new_cdp_session(page).send("Input.dispatchTouchEvent", {
        "type": "touchStart", "touchPoints": [{"x": x + width - 20, "y": y + height / 2}]})
    assert page.evaluate(tip).startswith("epoch 3")


def test_a_page_follows_its_run_and_keeps_its_place(open_page, page_file):
    page = open_page(page_file(1, state="running", config=config("--epochs", "3")), 390, 500)
    assert page.evaluate(FRAME) == "epoch 1"
    page.evaluate("scrollTo(0, 150)")
    page_file(2, state="running", config=config("--epochs", "3"))
    wait_for(page, f"data.running && {FRAME} === 'epoch 2'")  # the newest, as before
    assert page.evaluate("Math.abs(scrollY - 150)") <= 1
    page.locator("#slider").press("ArrowLeft")
    page_file(3, state="finished", config=config("--epochs", "3"))
    wait_for(page, "!data.running")
    assert page.evaluate(FRAME) == "epoch 1"  # the one that was looked at
    assert "finished" in page.evaluate("document.getElementById('state').textContent")


def test_nothing_in_the_data_is_run(open_page, page_file, tmp_path):
    image = "<img src=x onerror=\"document.body.dataset.run='yes'\">"
    evil = content(name=image, config=config("--dataset", EVIL), note=image,
                   dataset={"name": image, "classes": [EVIL]}, pictures=pictures_in(tmp_path))
    path = tmp_path / "evil.html"
    for text in (page_of([evil]), page_of([evil, evil])):
        path.write_text(text)
        page = open_page(path)
        assert page.evaluate(READY)
        assert page.evaluate("document.body.dataset.run") is None
        assert image in page.evaluate("document.body.textContent")
    # Were it to slip in, the page's policy would stop it.
    path.write_text(page_of([content()]).replace("</main>", f"{image}</main>"))
    page = open_page(path)
    wait_for(page, "document.querySelector('main > img').complete")
    assert page.evaluate("document.body.dataset.run") is None
    assert "Content Security Policy" in json.dumps(page.errors)
    page.errors, page.requests = [], []


@pytest.mark.parametrize("count", [3, 9, 30])
def test_a_comparison_can_be_read(open_page, page_file, tmp_path, count):
    page_file(2)
    pictures, path = pictures_in(tmp_path), tmp_path / "comparison.html"
    measured = {"frechet": 0.008017, "precision": 0.7354, "recall": 0.00123}
    verdict = {"kind": "good", "finding": "as good as real samples in every metric that was taken",
               "text": "as good as real samples in every metric that was taken"}
    runs = [content(name=f"a_study_of_losses_and_learning_rates_{number}",
                    pictures=pictures[: 3 if number else 2],  # the first run was a shorter one
                    rows=[row(1), row(2, frechet=number)], config=config(
                        "--seed", str(number), "--loss", ("hinge", "nonsaturating")[number % 2]),
                    summary={"metrics": {"generated": measured, "real": measured},
                             "verdict": verdict}) for number in range(count)]
    path.write_text(page_of(runs))
    page = open_page(path)
    captions = "[...document.querySelectorAll('figcaption span')].map(each => each.textContent)"
    assert page.evaluate(captions)[:2] == ["epoch 1", "epoch 2"]
    page.locator("#slider").press("Home")
    assert {*page.evaluate(captions)} == {"epoch 0"}
    for width in (390, 1200):
        page = open_page(path, width)
        wait_for(page, f"document.documentElement.scrollWidth === {width}")
        assert page.evaluate("""Math.min(...[...document.querySelectorAll(
            '#comparison :is(th, td)')].map(cell => cell.clientWidth))""") >= 45
        assert page.evaluate(BROKEN_NUMBERS) == 0
        # The runs' names stay in sight of the rightmost columns.
        page.evaluate("document.querySelector('.wide').scrollLeft = 1e6")
        assert 0 <= page.evaluate(
            "document.querySelector('#comparison tbody th').getBoundingClientRect().x") < 100
        page.evaluate("document.querySelector('#comparison tbody th').scrollIntoView()")
    page.evaluate("scrollTo(0, 0); document.getElementById('curves').scrollIntoView()")
    x, y, chart_width, height = page.locator(".area svg").first.bounding_box().values()
    page.mouse.move(x + chart_width - 20, y + height / 2)
    shown = page.evaluate("document.querySelectorAll('.tip:not([hidden]) span').length")
    assert shown == min(count, 8)
