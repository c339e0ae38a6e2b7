"""Conversions of an export: they draw what it draws, or nothing is written."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gan.common.errors import UserError
from tests.conftest import ROOT, run_module

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tf2onnx", "onnx", "onnxruntime")),
    reason="needs pip install -r requirements-export.txt")
PAGE = ROOT / "docs" / "export.md"


@pytest.fixture(scope="module")
def saved(tiny_run, tensorflow):
    from gan.generator import SavedGenerator
    return SavedGenerator(tiny_run[0] / "exported_model")


def convert(tiny_run, output, *options):
    return run_module("gan.convert", "--model", tiny_run[0], "--output", output, "--seeds", "0,5-9",
                      *options)


def grey_levels(images, saved, seeds):
    """The largest difference of images in [0, 1] from those that the export samples."""
    return np.abs(np.rint(255 * images) - saved.sample(seeds)).max()


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_litert_draws_what_the_export_draws(tiny_run, saved, tensorflow, tmp_path, precision):
    output = tmp_path / "small.tflite"
    done = convert(tiny_run, output, "--to", "litert", "--precision", precision)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "grey levels on 64 latents" in done.stdout
    beside = np.load(tmp_path / "small_seeds.npz")
    assert beside["seeds"].tolist() == [0, 5, 6, 7, 8, 9]
    run = tensorflow.lite.Interpreter(str(output)).get_signature_runner("serving_default")
    images = run(latents=beside["latents"], conditions=beside["conditions"])["images"]
    assert grey_levels(images, saved, beside["seeds"]) <= 1


def test_float16_is_about_half_as_large(saved):
    from gan.convert import FORMATS
    whole, half = (len(FORMATS["litert"].convert(saved, precision))
                   for precision in ("float32", "float16"))
    assert half < 0.75 * whole  # the operations themselves take their part


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_the_seeds_of_another_format_are_not_in_the_way(tiny_run, tmp_path):
    for name, options, code in (("a.tflite", (), 0), ("b.tflite", (), 0),
                                ("b.tflite", ("--seeds", "7"), 2)):
        if name == "b.tflite":  # as another format would have written it
            (tmp_path / "b_seeds.npz").write_bytes((tmp_path / "a_seeds.npz").read_bytes())
            (tmp_path / "b.tflite").unlink(missing_ok=True)
        done = convert(tiny_run, tmp_path / name, "--to", "litert", *options)
        assert done.returncode == code, done.stderr
    assert "b_seeds.npz exists; expected --force" in done.stderr
    assert not (tmp_path / "b.tflite").exists()


@needs_onnx
def test_onnx_draws_what_the_export_draws(tiny_run, saved, tmp_path):
    import onnxruntime
    output = tmp_path / "small.onnx"
    done = convert(tiny_run, output, "--to", "onnx")
    assert done.returncode == 0, done.stderr
    beside = np.load(tmp_path / "small_seeds.npz")
    (images,) = onnxruntime.InferenceSession(str(output)).run(
        None, {"latents": beside["latents"], "conditions": beside["conditions"]})
    assert grey_levels(images, saved, beside["seeds"]) <= 1


@pytest.mark.parametrize(("load", "expected"), [
    (lambda converted: lambda given: np.zeros((64, 16, 16, 1)), "within a grey level"),
    (lambda converted: lambda given: np.full((64, 16, 16, 1), np.nan), "within a grey level"),
    (lambda converted: lambda given: np.zeros((1, 16, 16, 1)), "within a grey level"),
    (lambda converted: 1 / 0, "ZeroDivisionError"),
])
def test_what_draws_something_else_is_not_written(
        tiny_run, tensorflow, tmp_path, monkeypatch, load, expected):
    from gan import convert
    format_of_test = convert.Format(".x", ("float32",), (), lambda *_: b"converted", load)
    monkeypatch.setitem(convert.FORMATS, "litert", format_of_test)
    monkeypatch.setattr(sys, "argv", ["gan.convert", "--to", "litert", "--model",
                                      str(tiny_run[0]), "--output", str(tmp_path / "small.x")])
    with pytest.raises(UserError, match=expected):
        convert.main()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "expected"), [
    (["--to", "onnx", "--precision", "float16"], "--precision: expected float32 with --to onnx"),
    (["--to", "coreml"], "--to: expected one of litert, onnx"),
    (["--to", "litert", "--seeds", "0-1000000"], "--seeds: expected at most 1,000,000"),
    (["--to", "litert", "--output", str(ROOT / "README.md")], "README.md exists"),
])
def test_wrong_options_are_one_line(tiny_run, options, expected):
    done = run_module("gan.convert", "--model", tiny_run[0], *options)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_missing_packages_are_named(tiny_run, monkeypatch):
    from gan import convert
    monkeypatch.setattr(convert.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["gan.convert", "--to", "onnx", "--model", str(tiny_run[0])])
    with pytest.raises(UserError, match="pip install -r requirements-export.txt"):
        convert.main()


def test_numpy_draws_the_latents_and_conditions_of_seeds(tiny_run, saved, monkeypatch):
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
               if "def philox" in block]
    monkeypatch.chdir(tiny_run[0])
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    seeds = [*range(200), 2**33 + 1, 2**62]
    latents, conditions = saved.latents(seeds)
    np.testing.assert_allclose(names["latents_of"](seeds, latents.shape[1]), latents, atol=2e-6)
    assert names["conditions_of"](seeds, names["about"]).tolist() == conditions.tolist()
    _, of_class = saved.latents(seeds, [1] * len(seeds))
    assert names["conditions_of"](seeds, names["about"], 1).tolist() == of_class.tolist()
    np.testing.assert_allclose(names["latents"], latents[:64], atol=2e-6)


def test_saved_model_cli_shows_and_runs_the_signatures(tiny_run, saved, tmp_path):
    command = Path(sys.executable).with_name("saved_model_cli")
    (block,) = [block for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
                if "saved_model_cli" in block]
    lines = block.replace("\\\n", " ").strip().splitlines()
    for line in lines:
        line = line.replace("saved_model_cli", str(command)).replace(
            "exported_model", str(tiny_run[0] / "exported_model"))
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if " show " in line:
            assert "dtype: DT_INT64" in done.stdout and "shape: (-1, 16, 16, 1)" in done.stdout
    assert (np.load(tmp_path / "drawn" / "images.npy") == saved.sample(range(4))).all()


def test_the_export_tells_its_conditions(tiny_run, saved):
    known = json.loads((tiny_run[0] / "exported_model/assets.extra/gan.json").read_text())
    assert sum(known["conditions"]["probabilities"]) == pytest.approx(1)
    assert sorted(set(known["conditions"]["class_of"])) == [0, 1]
