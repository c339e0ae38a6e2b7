"""What else becomes of an export: conversions that draw what it draws, latents of pictures."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import convert, project
from gan.drawing.images import image_grid, read_png
from tests.conftest import ROOT, assert_error

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tf2onnx", "onnx", "onnxruntime")),
    reason="needs pip install -r requirements-export.txt")
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
PAGE = ROOT / "docs" / "export.md"


@pytest.fixture
def converted(tiny_run, tensorflow):
    """A function that converts the tiny run's export as a command line says."""
    return lambda output, *options: convert.main([
        "--model", str(tiny_run), "--output", str(output), "--seeds", "0,5-9", *options])


def assert_drawn(draw, beside, saved):
    """Assert that a conversion draws the images of the seeds beside it, within a gray level."""
    arrays = dict(np.load(beside))
    seeds = arrays.pop("seeds")
    assert seeds.tolist() == [0, 5, 6, 7, 8, 9]
    assert np.abs(np.rint(255 * draw(arrays)) - saved.sample(seeds)).max() <= 1


def test_litert_draws_what_the_export_draws(converted, saved, tensorflow, tmp_path, capsys):
    sizes = {}
    for precision in ("float32", "float16"):
        output = tmp_path / f"{precision}.tflite"
        assert converted(output, "--to", "litert", "--precision", precision) == 0
        printed = capsys.readouterr()
        assert "gray levels from the SavedModel on 64 latents" in printed.out and printed.err == ""
        run = tensorflow.lite.Interpreter(str(output)).get_signature_runner("serving_default")
        assert_drawn(lambda given, run=run: run(**given)["images"],
                     tmp_path / f"{precision}_seeds.npz", saved)
        sizes[precision] = output.stat().st_size
    assert sizes["float16"] < 0.8 * sizes["float32"]  # operations take their part


@needs_onnx
def test_onnx_draws_what_the_export_draws(converted, saved, tmp_path):
    import onnxruntime
    output = tmp_path / "small.onnx"
    assert converted(output, "--to", "onnx") == 0
    session = onnxruntime.InferenceSession(str(output))
    assert_drawn(lambda given: session.run(None, given)[0], tmp_path / "small_seeds.npz", saved)


@pytest.fixture
def drawing(monkeypatch):
    """A function that replaces LiteRT by a format that draws what a function says."""
    return lambda draw: monkeypatch.setitem(convert.FORMATS, "litert", convert.Format(
        ".x", ("float32",), lambda *_: b"converted", lambda _: draw))


@pytest.mark.parametrize(("draw", "expected"), [
    (lambda given: np.zeros((64, 16, 16, 1)), "within a gray level"),
    (lambda given: np.full((64, 16, 16, 1), np.nan), "within a gray level"),
    (lambda given: np.zeros((1, 16, 16, 1)), "within a gray level"),
    (lambda given: 1 / 0, "ZeroDivisionError")])
def test_what_draws_something_else_is_not_written(converted, drawing, tmp_path, draw, expected):
    drawing(draw)
    assert_error(expected, converted, tmp_path / "small.x", "--to", "litert")
    assert list(tmp_path.iterdir()) == []


def test_the_seeds_of_another_format_are_not_in_the_way(converted, saved, drawing, tmp_path):
    drawing(lambda given: saved.call("serving_default", **given)["images"])
    converted(tmp_path / "a.tflite", "--to", "litert")
    converted(tmp_path / "a.x", "--to", "litert")
    assert_error("a_seeds.npz exists; expected --force",
                 converted, tmp_path / "a.y", "--to", "litert", "--seeds", "7")
    assert not (tmp_path / "a.y").exists()


@pytest.mark.parametrize(("options", "expected"), [
    (["--to", "onnx", "--precision", "float16"], "--precision: expected float32 with --to onnx"),
    (["--to", "coreml"], "--to: expected one of litert, onnx"),
    (["--to", "litert", "--seeds", "0-1000000"], "--seeds: expected at most 1,000,000"),
    (["--to", "onnx"], "pip install -r requirements-export.txt")])
def test_wrong_options_are_refused(converted, tmp_path, monkeypatch, options, expected):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)  # not installed
    assert_error(expected, converted, tmp_path / "a.x", *options)


def test_numpy_draws_the_latents_and_conditions_of_seeds(tiny_run, saved, monkeypatch):
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
               if "def philox" in block]
    monkeypatch.chdir(tiny_run)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    seeds = [*range(200), 2**33 + 1, 2**62]
    latents, conditions = saved.latents(seeds)
    np.testing.assert_allclose(names["latents_of"](seeds, latents.shape[1]), latents, atol=2e-6)
    assert names["conditions_of"](seeds, names["about"]).tolist() == conditions.tolist()
    _, of_class = saved.latents(seeds, [1] * len(seeds))
    assert names["conditions_of"](seeds, names["about"], 1).tolist() == of_class.tolist()
    np.testing.assert_allclose(names["latents"], latents[:64], atol=2e-6)


@pytest.mark.slow
def test_saved_model_cli_runs_the_signature(tiny_run, saved, tmp_path):
    (block,) = [block for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
                if "saved_model_cli" in block]
    block = block.replace("saved_model_cli", str(Path(sys.executable).with_name("saved_model_cli")))
    block = block.replace("exported_model", str(tiny_run / "exported_model"))
    done = subprocess.run(["bash", "-e"], input=block, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (np.load(tmp_path / "drawn" / "images.npy") == saved.sample(range(4))).all()


@pytest.fixture(scope="module")
def pictures(saved, tmp_path_factory):
    """PNG files of three images that are not among the candidates, and the images."""
    images = saved.sample(range(project.CANDIDATES, project.CANDIDATES + 3))
    paths = [tmp_path_factory.mktemp("pictures") / f"{place}.png" for place in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return list(map(str, paths)), images


@pytest.fixture
def projected(tiny_run, tmp_path):
    """A function that projects pictures onto the tiny run as a command line says."""
    return lambda *arguments, model=tiny_run: project.main(
        ["--model", str(model), "--output", str(tmp_path / "found.png"), *arguments])


def test_own_images_are_found(tiny_run, saved, pictures, projected, command, tmp_path, capsys):
    paths, images = pictures
    assert projected(*paths) == 0
    printed = capsys.readouterr().out
    arrays = np.load(tmp_path / "found.npz")
    drawn = saved.images(arrays["latents"], saved.condition_vectors(arrays["conditions"]))
    np.testing.assert_allclose(arrays["errors"], project.rmse(drawn / 255, images / 255))
    candidates = saved.sample(range(project.CANDIDATES))
    nearest = [project.rmse(candidates / 255, image / 255).min() for image in images]
    assert (arrays["errors"] < np.array(nearest) / 2).all(), (arrays["errors"], nearest)
    assert printed.count("RMSE") == 3 and printed.count(", class ") == 3
    from_latents = ["generate.py", "--model", tiny_run, "--latents", tmp_path / "found.npz"]
    assert command(*from_latents, "--output", "again.npz")[0] == 0
    assert np.array_equal(np.load("again.npz")["images"], drawn)
    code, _, complaint = command(*from_latents, "--interpolate", "0,3", "--output", "path.gif")
    assert code == 2 and "expected seeds below 3" in complaint
    pairs = np.stack([images, drawn], axis=1).reshape(-1, *images.shape[1:])
    assert np.array_equal(read_png(tmp_path / "found.png"), image_grid(pairs, 4)[..., 0])


def test_what_cannot_be_done_is_said_before_anything_is_drawn(pictures, projected, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("mine")
    for arguments, words in (([str(broken)], "broken"), (["--output", "found.jpg"], "a file that")):
        assert_error(words, projected, pictures[0][0], *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]
