"""The page of an exported generator: what is written, and what Chromium draws of it."""

import base64
import json
import re
import shlex

import numpy as np
import pytest

from tests.browser import chromium, needs_chromium
from tests.conftest import run_module

IMAGE = (1, 6, 5, 4)  # of what the operations below are given
DRAWN = "document.body.dataset.drawn !== undefined && !artist.busy && !artist.jobs.length"


@pytest.fixture(scope="module")
def page():
    with chromium() as opened:
        yield opened


def write_playground(model, output, *options):
    done = run_module("gan.playground", "--model", model, "--output", output, *options)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def tiny_page(tiny_run, tmp_path_factory):
    return write_playground(tiny_run[0], tmp_path_factory.mktemp("page") / "page.html")


def layers(tf):
    """Functions of an image that together use every operation that the page knows."""
    random = np.random.default_rng(0)

    def weights(*shape):
        return tf.constant(random.normal(size=shape), tf.float32)

    def transposed(kernel, stride, shape, padding="SAME"):
        return lambda x: tf.nn.conv2d_transpose(
            x, weights(kernel, kernel, 3, 4), [1, *shape, 3], stride, padding)

    def batch_norm(x):
        scale, offset, mean = weights(4), weights(4), weights(4)
        return tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=offset, mean=mean,
                                           variance=tf.exp(weights(4)), is_training=False)[0]

    return {
        "dense": lambda x: tf.reshape(x, [1, -1]) @ weights(120, 7) + weights(7),
        "conv same": lambda x: tf.nn.conv2d(x, weights(3, 3, 4, 5), 1, "SAME"),
        "conv stride": lambda x: tf.nn.conv2d(x, weights(4, 4, 4, 3), 2, "SAME"),
        "conv valid": lambda x: tf.nn.conv2d(x, weights(3, 2, 4, 8), [2, 1], "VALID"),
        "pointwise": lambda x: tf.nn.conv2d(x, weights(1, 1, 4, 3), 1, "SAME"),
        "transposed 4 by 2": transposed(4, 2, (12, 10)),
        "transposed 5 by 2": transposed(5, 2, (12, 10)),
        "transposed 3 by 1": transposed(3, 1, (6, 5)),
        "transposed 2 by 3": transposed(2, 3, (18, 15)),
        "transposed valid": transposed(5, 3, (20, 17), "VALID"),
        "depthwise": lambda x: tf.nn.depthwise_conv2d(x, weights(3, 3, 4, 2), [1, 2, 2, 1], "SAME"),
        "maximum": lambda x: tf.nn.max_pool2d(x, 3, 1, "SAME"),
        "maximum by steps": lambda x: tf.nn.max_pool2d(x, [2, 3], [1, 2], "SAME"),
        "maximum inside": lambda x: tf.nn.max_pool2d(x, 3, 2, "VALID"),
        "maximum of channels": lambda x: tf.reduce_max(tf.abs(x), axis=-1, keepdims=True),
        "batch norm": batch_norm,
        "slices": lambda x: x[:, 4:0:-2, ::2, 1:] + x[:, 1:3, 0:3, :3],
        "parts": lambda x: tf.concat([x, x[:, :, :, :2]], 3),
        "bilinear": lambda x: tf.image.resize(x, (12, 15), "bilinear"),
        "bilinear, smaller": lambda x: tf.image.resize(x, (3, 8), "bilinear"),
        "one plane for all channels": lambda x: x * x[:, :, :, :1] - x[:, :1, :1],
        "clip": lambda x: tf.minimum(tf.maximum(x, -1.0), tf.abs(x) - 0.5),
        "activations": lambda x: (tf.nn.leaky_relu(x, 0.2) + tf.nn.relu(x) + tf.tanh(x)
                                  + tf.square(x)),
        "spectral": lambda x: tf.nn.bias_add(tf.nn.conv2d(  # weights that are computed
            x, weights(3, 3, 4, 4) / tf.norm(weights(8)), 1, "SAME"), weights(4)),
    }


@needs_chromium
def test_every_operation_gives_what_tensorflow_gives(tensorflow, page, tmp_path):
    from gan.playground.graph import read_signature
    from gan.playground.page import ASSETS
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html>")
    page.open(blank)
    page.evaluate((ASSETS / "engine.js").read_text().replace("const ", "var "))
    image = np.random.default_rng(1).normal(size=IMAGE).astype(np.float32)
    for name, layer in layers(tensorflow).items():
        output, _ = read_signature(lambda latents, layer=layer: {"y": layer(latents)},
                                   {"latents": image})
        np.testing.assert_allclose(in_browser(page, output, latents=image), output.value.ravel(),
                                   rtol=2e-4, atol=2e-5, err_msg=name)


def in_browser(page, output, **given):
    """What the page's interpreter computes of a network's inputs."""
    from gan.playground.network import Network, pack
    description, weights = pack(Network(output), half=False)
    weights = base64.b64encode(weights).decode()
    inputs = ", ".join(f"{name}: Float32Array.from({array.ravel().tolist()})"
                       for name, array in given.items())
    return page.evaluate(f"""Array.from(makeNetwork({json.dumps(description)},
        Uint8Array.from(atob("{weights}"), (letter) => letter.charCodeAt(0)).buffer
        )({{ {inputs} }}))""")


@needs_chromium
@pytest.mark.parametrize("options", [{"output": "smooth", "upsampling": "filtered"},
                                     {"output": "bright", "upsampling": "plain"}])
def test_the_page_knows_every_operation_of_our_generators(tensorflow, page, tmp_path, options):
    from gan.config import TrainConfig
    from gan.data.background import Background
    from gan.models import ARCHITECTURES, build_generator, generator_inputs
    from gan.playground.graph import read_signature
    from gan.playground.page import ASSETS
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html>")
    page.open(blank)
    page.evaluate((ASSETS / "engine.js").read_text().replace("const ", "var "))
    random = np.random.default_rng(0)
    given = {"latents": random.normal(size=(1, 4)).astype(np.float32),
             "codes": np.float32([[0, 1, 1]])}
    for arch in ARCHITECTURES:
        config = TrainConfig(arch=arch, latent_dim=4, base_channels=4, **options)
        background = Background((0, 0, 255), 40) if options["output"] == "smooth" else None
        generator = build_generator(config, (26, 26, 3), 3, background=background)
        for variable in generator.trainable_variables:  # away from zeros and ones
            variable.assign_add(0.1 * random.normal(size=variable.shape))
        output, _ = read_signature(
            lambda latents, codes, generator=generator: {
                "y": generator(generator_inputs(latents, codes))}, given)
        np.testing.assert_allclose(in_browser(page, output, **given), output.value.ravel(),
                                   rtol=2e-3, atol=2e-4, err_msg=arch)


@pytest.mark.parametrize(("layer", "expected"), [
    ("lambda x: tf.math.erf(x)", "Erf of float32"),
    ("lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 4, 1]), 1, 'SAME', dilations=2)", "dilation"),
    ("lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 2, 2]), 1, 'SAME')", "Conv2D in groups"),
    ("lambda x: tf.reshape(x, [30, 4]) @ tf.reshape(x, [4, 30])", "MatMul with computed weights"),
    ("lambda x: tf.cast(x > 0, tf.float32)", "Greater of bool"),
    ("lambda x: tf.nn.leaky_relu(x, 1.5)", "LeakyRelu with a slope"),
])
def test_an_operation_that_the_page_does_not_know_is_named(tensorflow, layer, expected):
    from gan.common.errors import UserError
    from gan.playground.graph import read_signature
    from gan.playground.network import Network
    function = eval(layer, {"tf": tensorflow})
    output, _ = read_signature(lambda latents: {"y": function(latents)},
                               {"latents": np.ones(IMAGE, np.float32)})
    with pytest.raises(UserError, match="the page knows no operation .*" + expected):
        Network(output)


def test_weights_of_float16_are_half_as_long(tensorflow):
    from gan.playground.graph import read_signature
    from gan.playground.network import Network, pack
    weights = tensorflow.constant(np.arange(12).reshape(4, 3) / 7, tensorflow.float32)
    output, _ = read_signature(lambda latents: {"y": latents @ weights + [1.0, 2.0, 3.0]},
                               {"latents": np.ones([1, 4], np.float32)})
    (description, half), (_, whole) = (pack(Network(output), narrow) for narrow in (True, False))
    assert (len(half), len(whole)) == (12 * 2 + 3 * 4, 12 * 4 + 3 * 4)
    (matrix,) = [one for one in description["constants"] if one["half"]]
    np.testing.assert_array_equal(
        np.frombuffer(half, "<f2", matrix["count"], matrix["start"]),
        (np.arange(12) / 7).astype(np.float16))


def test_directions_are_eigenvectors_of_the_first_layer(tensorflow):
    from gan.playground.graph import read_signature
    from gan.playground.network import Network
    from gan.playground.page import directions
    # The third number of the latent counts most, then the first; the code comes before both.
    matrix = tensorflow.constant(np.diag([9.0, 2.0, 1.0, 5.0]), tensorflow.float32)
    output, _ = read_signature(
        lambda latents, codes: {"y": tensorflow.concat([codes, latents], 1) @ matrix},
        {"latents": np.ones([1, 3], np.float32), "codes": np.ones([1, 1], np.float32)})
    assert directions(Network(output), 3) == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@needs_chromium
def test_the_page_draws_what_generate_draws(tiny_run, tiny_page, page):
    from gan.generator import SavedGenerator
    page.open(tiny_page)
    page.wait_for(DRAWN)
    saved = SavedGenerator(tiny_run[0] / "exported_model")
    for seed, label in ((0, None), (1, None), (77, 1), (2**40 + 3, 0), (2**62, None)):
        expected = saved.sample([seed], None if label is None else [label])[0]
        drawn = picture(page, f"choose({{seed: {seed}n, label: {-1 if label is None else label}}})")
        assert np.abs(drawn - expected[..., 0]).max() <= 1, seed
        assert len(np.unique(drawn)) > 10
    latents = np.concatenate([saved.latents([seed])[0] for seed in (5, 2**50)])
    np.testing.assert_allclose(
        page.evaluate("[5n, 2n ** 50n].map("
                      "(seed) => Array.from(latentOf(seed, about.latent_dim)))"),
        latents, atol=1e-6)
    assert page.errors == []


def picture(page, action=""):
    """Do something and return the grey levels that the large canvas then shows."""
    page.evaluate(f"{action}; 0")
    page.wait_for(DRAWN)
    return np.array(page.evaluate("""(() => {
        const canvas = document.getElementById("picture");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return Array.from({ length: canvas.height }, (_, row) => Array.from(
            { length: canvas.width }, (_, column) => data[4 * (row * canvas.width + column)]));
    })()"""), int)


@needs_chromium
def test_conditions_are_drawn_as_in_the_export(tiny_run, tiny_page, page):
    from gan.generator import SavedGenerator
    page.open(tiny_page)
    saved, seeds = SavedGenerator(tiny_run[0] / "exported_model"), list(range(200))
    for label in (None, 0, 1):
        _, expected = saved.latents(seeds, None if label is None else [label] * 200)
        drawn = page.evaluate(f"{seeds}.map((seed) => chosenCondition(BigInt(seed), "
                              f"{-1 if label is None else label}))")
        assert drawn == expected.tolist() and len(set(drawn)) > 1


@needs_chromium
def test_what_is_chosen_changes_the_picture(tiny_page, page):
    page.open(tiny_page)
    page.wait_for(DRAWN)
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
    assert page.errors == []


def typed(page):
    """The words of the command below the picture, as a shell would read them."""
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    return shlex.split(page.evaluate("document.querySelector('#command code')?.textContent ?? ''"))


@needs_chromium
def test_the_command_draws_the_same_picture(tiny_run, tiny_page, page):
    page.look(390)
    page.open(tiny_page)
    page.wait_for(DRAWN)
    script = ["python", "generate.py", "--model", str(tiny_run[0])]
    assert typed(page) == [*script, "--seeds", "0"]
    for name in ("x y", "it's \"$(one)\"", "-1"):
        page.evaluate(f"about.class_names[1] = {json.dumps(name)};"
                      "choose({seed: 7n, label: 1, truncation: 0.5})")
        command = typed(page)
        label = [f"--label={name}"] if name[0] == "-" else ["--label", name]
        assert command == [*script, "--seeds", "7", *label, "--truncation", "0.5"]
    assert page.evaluate("""(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(
        document.querySelector('#command code'))""")  # no part of it is out of sight
    page.evaluate("choose({label: -1, truncation: 1})")
    page.evaluate("document.querySelector('#interpolate').click()")
    page.wait_for("state.seed >= 8n")
    text, seed = page.evaluate("[document.querySelector('#command').textContent, `${state.seed}`]")
    assert text.endswith(f" --interpolate {seed},{int(seed) + 1}")
    seed = page.evaluate("document.querySelector('#interpolate').click(); `${state.seed}`")
    assert typed(page) == [*script, "--seeds", seed]
    page.evaluate("choose({offsets: state.offsets.map(() => 1)})")
    assert typed(page) == []


@needs_chromium
def test_white_corners_stay_white(tiny_page, page):
    page.look(390)
    page.open(tiny_page)
    page.wait_for(DRAWN)
    page.evaluate("paint(document.querySelector('#picture'), new Float32Array(1e6).fill(1))")
    assert page.evaluate("getComputedStyle(document.querySelector('#picture')).backgroundColor"
                         ) == "rgba(0, 0, 0, 0)"


@needs_chromium
def test_an_interpolation_passes_seeds(tiny_page, page):
    page.open(tiny_page)
    page.wait_for(DRAWN)
    first = picture(page)
    page.evaluate("document.querySelector('#interpolate').click()")
    page.wait_for("state.seed >= 1n")
    page.evaluate("document.querySelector('#interpolate').click()")
    assert (picture(page) != first).any()
    assert page.evaluate("document.querySelector('#interpolate').textContent") == "Interpolate"
    assert (picture(page, "choose({seed: 0n})") == first).all() and page.errors == []


@needs_chromium
def test_the_page_draws_without_a_worker(tiny_page, page, tmp_path):
    page.open(tiny_page)
    page.wait_for(DRAWN)
    first, without = picture(page), tmp_path / "without.html"
    without.write_text(tiny_page.read_text().replace("worker-src blob:", "worker-src 'none'"))
    errors = len(page.errors)
    page.open(without)
    assert (picture(page) == first).all()
    del page.errors[errors:]  # Chromium says what the policy refused


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_nothing_is_asked_of_any_address(
        tiny_page, page, width):
    page.look(width)
    before = len(page.requests)
    page.open(tiny_page)
    page.wait_for(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(address.startswith(("file:", "blob:")) for address in page.requests[before:])
    page.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert "Content Security Policy" in page.errors.pop(-2) + page.errors.pop()
    unnamed = page.evaluate("""[...document.querySelectorAll(
        "input, select, button, canvas")].filter((one) => !one.labels?.length
            && !one.getAttribute("aria-label") && !one.textContent
            && !one.closest("[aria-label]")).map((one) => one.outerHTML)""")
    assert unnamed == []


@needs_chromium
def test_points_are_a_scatter_over_the_plane(tensorflow, tmp_path, page):
    from gan.generator import SavedGenerator
    page.open(write_playground(export_points(tensorflow, tmp_path), tmp_path / "page.html"))
    page.wait_for(DRAWN)
    expected = SavedGenerator(tmp_path / "exported_model").sample(range(2000))
    assert np.ptp(expected, axis=0).min() > 0.1
    np.testing.assert_allclose(page.evaluate("cloud.places.map((place) => Array.from(place))"),
                               expected, atol=1e-4)
    place = page.evaluate("choose({seed: 70000n}); new Promise((resolve) => setTimeout(() => "
                     "resolve(Array.from(cloud.chosen)), 500))")
    np.testing.assert_allclose(
        place, SavedGenerator(tmp_path / "exported_model").sample([70000])[0], atol=1e-4)
    assert page.evaluate("document.querySelector('#grid-card').hidden")
    assert page.errors == []


def export_points(tf, folder):
    """Export an untrained generator of points of some spread; returns the folder."""
    from gan.config import TrainConfig
    from gan.data.conditions import Conditioning
    from gan.export import export_generator
    from gan.models import build_generator
    from gan.sampling import Sampler
    tf.keras.utils.set_random_seed(3)
    config = TrainConfig(arch="mlp", latent_dim=4, base_channels=4)
    generator = build_generator(config, (2,), 1, extent=3.0)
    one = Conditioning(np.zeros(4, np.int32), np.ones(1, np.float32), np.array([[0]]), "none")
    export_generator(folder / "exported_model", generator, Sampler(generator, one, 4), {
        "sample_shape": [2], "latent_dim": 4, "class_names": [], "dataset": "ring", "extent": 3.0,
        "config": {"dataset": "ring", "image_size": None, "channels": None, "skip_broken": False}})
    return folder


def test_strings_from_data_cannot_leave_their_place(tmp_path):
    from gan.common.html import json_in_script
    from gan.playground.page import write_page
    evil = "</script><script>alert(1)</script><!--&__STYLE__"
    assert not re.search("[<>&]", json_in_script({"name": evil}))
    assert json.loads(json_in_script({"name": evil})) == {"name": evil}
    page = write_page({"dataset": evil, "class_names": [evil]}, {}, b"")
    assert "alert(1)</script" not in page and "__STYLE__" in page
    assert page.count("<script") == 3 + 4 and page.count("</script>") == 3 + 4


def test_errors_are_one_line(tiny_run, tmp_path):
    def refused(expected, *options):
        done = run_module("gan.playground", *options)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert expected in done.stderr

    output = tmp_path / "page.html"
    refused("expected a folder with an exported generator", "--model", tmp_path,
            "--output", output)
    output.write_text("mine")
    refused("--force", "--model", tiny_run[0], "--output", output)
    assert output.read_text() == "mine"
