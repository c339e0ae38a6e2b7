"""report.html in a browser: the slider moves, values appear, it follows a run."""

import json

import numpy as np
import pytest

from gan.drawing.images import epoch_picture, pictures_in, write_png
from gan.report.__main__ import page_of
from tests.conftest import wait_for
from tests.test_report import EVIL, config, content, data_of, row

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
