"""The page of an exported generator: what is written, and what Chromium draws of it."""

import base64
import json
import shlex

import numpy as np
import pytest
import tensorflow as tf

from gan.config import TrainConfig
from gan.data.pixels import Background, premultiplied
from gan.data.sample_types import sample_type_of
from gan.generator import SavedGenerator
from gan.models import ARCHITECTURES, build_generator, generator_inputs
from gan.playground import __main__ as playground
from gan.playground.network import Network, pack, read_signature
from gan.playground.page import ASSETS, directions, write_page
from tests.conftest import assert_error, wait_for

DRAWN = "document.body.dataset.drawn !== undefined && !artist.busy && !artist.jobs.length"


@pytest.fixture(scope="module")
def tiny_page(tiny_run, tmp_path_factory):
    """The playground of the tiny run."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert playground.main(["--model", str(tiny_run), "--output", str(path)]) == 0
    return path


@pytest.fixture
def page(tiny_page, open_page):
    """The playground of the tiny run, drawn."""
    opened = open_page(tiny_page)
    wait_for(opened, DRAWN)
    return opened


@pytest.fixture
def engine(open_page, tmp_path):
    """A function of a network and its inputs that computes in the page's interpreter."""
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html>")
    page = open_page(blank)
    page.add_script_tag(path=ASSETS / "engine.js")

    def compute(tensors, **given):
        description, weights = pack(Network(tensors), half=False)
        weights = base64.b64encode(weights).decode()
        inputs = ", ".join(f"{name}: Float32Array.from({array.ravel().tolist()})"
                           for name, array in given.items())
        return page.evaluate(f"""Array.from(makeNetwork({json.dumps(description)},
            Uint8Array.from(atob("{weights}"), (letter) => letter.charCodeAt(0)).buffer
            )({{ {inputs} }}))""")

    return compute


@pytest.mark.parametrize(("shape", "output", "upsampling"), [
    ((26, 34, 3), "smooth", "filtered"), ((28, 28, 1), "bright", "plain"),
    ((16, 16, 4), "smooth", "plain"), ((17, 28, 4), "clip", "filtered"), ((2,), "clip", "plain")])
def test_every_generator_computes_what_tensorflow_computes(engine, shape, output, upsampling):
    random = np.random.default_rng(0)
    given = {"latents": random.normal(size=(1, 4)).astype(np.float32),
             "vectors": np.float32([[0, 1, 1]])}
    to_served = sample_type_of(shape).to_served
    for arch in ARCHITECTURES if len(shape) > 1 else ["mlp"]:
        config = TrainConfig(arch=arch, latent_dim=4, base_channels=4, blocks=1, output=output,
                             upsampling=upsampling)
        background = Background((0, 0, 255, 0)[: shape[-1]], 40) if output == "smooth" else None
        generator = build_generator(config, shape, 3, background=background)
        for variable in generator.trainable_variables:  # away from zeros and ones
            variable.assign_add(0.1 * random.normal(size=variable.shape))
        tensors = read_signature(
            lambda latents, vectors, generator=generator: {
                "y": to_served(generator(generator_inputs(latents, vectors)))}, given)
        expected = tensors[-1].value
        found = np.reshape(engine(tensors, **given), expected.shape)
        np.testing.assert_allclose(premultiplied(found), premultiplied(expected),
                                   rtol=2e-3, atol=2e-4, err_msg=arch)


@pytest.mark.parametrize(("layer", "expected"), [
    (lambda x: tf.math.erf(x), "Erf of float32"),
    (lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 4, 1]), 1, "SAME", dilations=2),
     "Conv2D with dilations"),
    (lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 2, 2]), 1, "SAME"), "Conv2D in groups"),
    (lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 4, 2]), 1, [[0, 0], [1, 0], [0, 1], [0, 0]]),
     "Conv2D with explicit padding"),
    (lambda x: tf.reshape(x, [30, 4]) @ tf.reshape(x, [4, 30]), "MatMul with computed weights"),
    (lambda x: tf.cast(x > 0, tf.float32), "Greater of bool")])
def test_an_operation_that_the_page_does_not_know_is_named(layer, expected):
    tensors = read_signature(lambda latents: {"y": layer(latents)},
                            {"latents": np.ones([1, 6, 5, 4], np.float32)})
    assert_error("the page knows no operation .*" + expected, Network, tensors)


def test_float16_is_not_used_where_it_would_show(tiny_run, tmp_path, monkeypatch, capsys):
    options = ["--model", str(tiny_run), "--force", "--output", str(tmp_path / "page.html")]
    playground.main(options)
    assert "float16 weights; open it in a browser" in capsys.readouterr().out
    monkeypatch.setattr("gan.playground.page.rounded", lambda array: 1.5 * array)
    playground.main(options)
    printed = capsys.readouterr().out
    assert "note: float16 weights would change a pixel by" in printed
    assert "float32 weights; open it in a browser" in printed


def test_directions_are_eigenvectors_of_the_first_layer():
    # The third number of the latent counts most, then the first; the vector comes after all.
    matrix = tf.constant(np.diag([2.0, 1.0, 5.0, 9.0]), tf.float32)
    tensors = read_signature(
        lambda latents, vectors: {"y": tf.concat([latents, vectors], 1) @ matrix},
        {"latents": np.ones([1, 3], np.float32), "vectors": np.ones([1, 1], np.float32)})
    assert directions(Network(tensors), 3) == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_the_page_draws_what_generate_draws_of_latents_and_conditions(saved, page):
    for seed, label in ((0, None), (1, None), (77, 1), (2**40 + 3, 0), (2**62, None)):
        expected = saved.sample([seed], None if label is None else [label])[0]
        drawn = picture(page, f"choose({{seed: {seed}n, label: {-1 if label is None else label}}})")
        assert np.abs(drawn - expected[..., 0]).max() <= 1, seed
        assert len(np.unique(drawn)) > 10
    latents = np.concatenate([saved.latents([seed])[0] for seed in (5, 2**50)])
    found = page.evaluate("""[5n, 2n ** 50n].map(
        (seed) => Array.from(latentOf(seed, about.latent_dim)))""")
    np.testing.assert_allclose(found, latents, atol=1e-6)
    seeds = [*range(200), 2**40 + 3, 2**63 - 1]
    for label in (None, 0, 1):
        _, expected = saved.latents(seeds, None if label is None else [label] * len(seeds))
        drawn = page.evaluate(f"{[*map(str, seeds)]}.map((seed) => chosenCondition(BigInt(seed), "
                              f"{-1 if label is None else label}))")
        assert drawn == expected.tolist() and len(set(drawn)) > 1


def picture(page, action=""):
    """Do something and return the gray levels that the large canvas then shows."""
    page.evaluate(f"{action}; 0")
    wait_for(page, DRAWN)
    return np.array(page.evaluate("""(() => {
        const canvas = document.getElementById("picture");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return Array.from({ length: canvas.height }, (_, row) => Array.from(
            { length: canvas.width }, (_, column) => data[4 * (row * canvas.width + column)]));
    })()"""), int)


def test_what_is_chosen_changes_the_picture(page):
    first = picture(page)

    def moved(selector, value, event="input"):
        return picture(page, f"""{{const field = document.querySelector({json.dumps(selector)});
            field.value = {value}; field.dispatchEvent(new Event("{event}"))}}""")

    assert (moved("#directions input", 3) != first).any()
    assert (picture(page, "document.querySelector('#reset').click()") == first).all()
    assert (moved("#truncation", 0.3) != first).any()
    assert (moved("#truncation", 1) == first).all()
    assert (moved("#cluster", 0, "change") != moved("#cluster", 3, "change")).any()
    assert (moved("#cluster", -1, "change") == first).all()
    other = picture(page, "document.querySelector('#next').click()")
    assert (other != first).any() and page.evaluate("document.querySelector('#seed').value") == "1"
    tile = picture(page, "document.querySelectorAll('#grid button')[2].click()")
    assert page.evaluate("document.querySelector('#seed').value") == "3"
    assert (moved("#seed", 3) == tile).all()
    assert (moved("#seed", "'3x'") == tile).all()
    assert page.evaluate("document.querySelector('#seed').getAttribute('aria-invalid')") == "true"
    assert page.evaluate("document.querySelectorAll('#grid button').length") == 64
    moved("#rows", "'classes'", "change")
    assert page.evaluate("document.querySelectorAll('#grid button').length") == 2 * 8


def typed(page):
    """The words of the command below the picture, as a shell would read them."""
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    return shlex.split(page.evaluate("document.querySelector('#command code')?.textContent ?? ''"))


def test_the_command_draws_the_same_while_interpolating(tiny_run, tiny_page, page, open_page):
    script = ["python", "generate.py", "--model", str(tiny_run)]
    assert typed(page) == [*script, "--seeds", "0"]
    for name in ("x y", "it's \"$(one)\"", "-1"):
        page.evaluate(f"about.class_names[1] = {json.dumps(name)};"
                      "choose({seed: 7n, label: 1, truncation: 0.5})")
        label = [f"--label={name}"] if name[0] == "-" else ["--label", name]
        assert typed(page) == [*script, "--seeds", "7", *label, "--truncation", "0.5"]
    page = open_page(tiny_page, 390)
    wait_for(page, DRAWN)
    page.evaluate("about.class_names[1] = '-1'; choose({seed: 7n, label: 1, truncation: 0.5})")
    assert typed(page) == [*script, "--seeds", "7", "--label=-1", "--truncation", "0.5"]
    assert page.evaluate("""(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(
        document.querySelector('#command code'))""")  # no part of it is out of sight
    first = picture(page, "choose({seed: 0n, label: -1, truncation: 1})")
    page.evaluate("document.querySelector('#interpolate').click()")
    wait_for(page, "state.seed >= 1n")
    text, seed = page.evaluate("[document.querySelector('#command').textContent, `${state.seed}`]")
    assert text.endswith(f" --interpolate {seed},{int(seed) + 1}")
    assert (picture(page, "document.querySelector('#interpolate').click()") != first).any()
    seed = page.evaluate("`${state.seed}`")
    assert typed(page) == [*script, "--seeds", seed]
    assert page.evaluate("document.querySelector('#interpolate').textContent") == "Interpolate"
    assert (picture(page, "choose({seed: 0n})") == first).all()
    page.evaluate("choose({offsets: state.offsets.map(() => 1)})")
    assert typed(page) == []


def test_the_page_draws_without_a_worker(tiny_page, page, open_page, tmp_path):
    first, path = picture(page), tmp_path / "without.html"
    path.write_text(tiny_page.read_text().replace("worker-src blob:", "worker-src 'none'"))
    without = open_page(path)
    assert (picture(without) == first).all()
    without.errors.clear()  # which say that there is none


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_or_asked_of_any_address(tiny_page, open_page, width):
    page = open_page(tiny_page, width)
    wait_for(page, DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.errors == page.requests == []
    page.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert "Content Security Policy" in " ".join(page.errors)
    page.errors, page.requests = [], []
    unnamed = page.evaluate("""[...document.querySelectorAll(
        "input, select, button, canvas")].filter((one) => !one.labels?.length
            && !one.getAttribute("aria-label") && !one.textContent
            && !one.closest("[aria-label]")).map((one) => one.outerHTML)""")
    assert unnamed == []


@pytest.mark.parametrize("axes", [1, 2])
def test_points_are_a_scatter_over_the_plane(make_export, tmp_path, open_page, axes):
    export = make_export(None, "mlp", (axes,), extent=3.0)
    path, saved = tmp_path / "page.html", SavedGenerator(export)
    playground.main(["--model", str(export), "--output", str(path)])
    page = open_page(path)
    wait_for(page, DRAWN)
    expected = saved.sample(range(2000))
    assert np.ptp(expected, axis=0).min() > 0.1
    places = np.array(page.evaluate("cloud.places.map((place) => Array.from(place))"))
    np.testing.assert_allclose(places[:, :axes], expected, rtol=1e-4, atol=0.01)
    assert axes > 1 or np.ptp(places[:, 1]) > 0.8  # spread over the height
    place = page.evaluate("choose({seed: 70000n}); new Promise((resolve) => setTimeout(() => "
                             "resolve(Array.from(cloud.chosen)), 500))")
    np.testing.assert_allclose(place[:axes], saved.sample([70000])[0], rtol=1e-4, atol=0.01)
    assert page.evaluate("document.querySelector('#grid-card').hidden")


def test_strings_from_data_cannot_leave_their_place():
    evil = "</script><script>alert(1)</script><!--&{style}"
    page = write_page({"dataset": evil, "class_names": [evil]}, {}, b"")
    assert "alert(1)</script" not in page and "{style}" in page
    assert page.count("<script") == 3 + 4 and page.count("</script>") == 3 + 4
