"""generate.py: what it draws, what it calls its files, what it refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import generate as script
from gan.common.command_line import seed_list
from gan.common.errors import UserError, run_script
from gan.generator import slerp
from gan.metadata import METADATA, find_export, read_metadata
from generate import Request, choose_classes
from tests.conftest import ROOT
from tests.conftest import run_script as run_process


def generate(tiny_run, tmp_path, *arguments):
    folder, _ = tiny_run
    done = run_process("generate.py", "--model", folder, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done


def test_generate_draws_the_same_image_in_every_form(tiny_run, tmp_path):
    generate(tiny_run, tmp_path, "--seeds", "0,3,8-10", "--batch-size", 2)
    names = sorted(path.name for path in (tmp_path / "generated").iterdir())
    assert names == [f"seed_{seed:06d}.png" for seed in (0, 3, 8, 9, 10)]
    generate(tiny_run, tmp_path, "--output", "a.npz", "--num-images", 11, "--batch-size", 4)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        images, seeds = arrays["images"], arrays["seeds"]
    assert images.shape == (11, 16, 16, 1) and seeds.tolist() == list(range(11))
    for seed in (0, 3, 8, 9, 10):
        picture = np.asarray(Image.open(tmp_path / f"generated/seed_{seed:06d}.png"))
        np.testing.assert_array_equal(picture, images[seed, ..., 0])
    generate(tiny_run, tmp_path, "--grid", "2x3", "--output", "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    factor = grid.shape[1] // (3 * 18 + 2)
    np.testing.assert_array_equal(grid[::factor, ::factor][2:18, 20:36], images[1, ..., 0])


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_generate_interpolates_on_a_loop(two_of_ten, generated, tmp_path, suffix):
    from gan.generator import SavedGenerator
    code, output, errors = generated("--model", two_of_ten, "--output", f"path{suffix}",
                                     "--interpolate", "1,5", "--frames", 4)
    assert code == 0 and output == f"path{suffix}: 8 frames, seeds 1 to 5\n", errors
    ends = SavedGenerator(two_of_ten).sample([1, 5])[..., 0]
    animation = Image.open(tmp_path / f"path{suffix}")
    assert animation.n_frames == 8
    for frame, end in ((0, ends[0]), (4, ends[1])):
        animation.seek(frame)
        found = np.asarray(animation.convert("L"))[::16, ::16].astype(int)
        assert np.abs(found - end).max() <= (60 if suffix == ".webp" else 0)


def test_generate_by_label_and_truncation(tiny_run, tmp_path):
    def drawn(*options):
        generate(tiny_run, tmp_path, "--output", "a.npz", "--label", "each", "--num-images", 10,
                 "--force", *options)
        with np.load(tmp_path / "a.npz") as arrays:
            assert arrays["labels"].tolist() == [0] * 5 + [1] * 5
            return arrays["images"].reshape(10, -1)

    assert len(np.unique(drawn(), axis=0)) == 10
    # Without a latent only the condition is left: a cluster has one image.
    assert len(np.unique(drawn("--truncation", 0), axis=0)) <= 4


def test_generate_overwrites_only_when_asked(two_of_ten, generated):
    arguments = ["--model", two_of_ten, "--output", "grid.png"]
    assert generated(*arguments)[0] == 0
    assert "grid.png exists; expected --force to overwrite it, or another --output" in refusal(
        generated(*arguments))
    assert generated(*arguments, "--force")[0] == 0


TEN = {"class_names": [str(digit) for digit in range(10)], "classes": list(range(10)),
       "config": {"condition": "labels"}}


def labels_of(count, text="each", metadata=TEN):
    classes = choose_classes(text, metadata)[:count]
    return Request(range(count), classes).labels(0, count)


@pytest.mark.parametrize(("count", "expected"), [
    (12, [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]),
    (10, list(range(10))),
    (100, [number for number in range(10) for _ in range(10)]),  # a class a row of 10x10
    (20, [number for number in range(10) for _ in range(2)]),
    (6, [0, 1, 2, 3, 4, 5]),
])
def test_each_class_has_its_even_part_of_the_places(count, expected):
    assert labels_of(count) == expected
    for other in range(10, 200):
        numbers = np.bincount(labels_of(other), minlength=10)
        assert numbers.min() >= 1 and numbers.max() - numbers.min() <= 1
        assert labels_of(other) == sorted(labels_of(other))


def test_classes_are_those_that_occur():
    metadata = TEN | {"classes": [3, 7]}
    assert labels_of(4, metadata=metadata) == [3, 3, 7, 7]
    assert labels_of(2, "7", metadata) == [7, 7]
    with pytest.raises(UserError, match=r"a class of the generator \(3, 7\), got: 0, of which"):
        choose_classes("0", metadata)
    renumbered = {"class_names": ["3", "7"], "classes": [0, 1]}
    assert labels_of(2, "7", renumbered) == [1, 1]
    with pytest.raises(UserError, match="got: 1, which it does not know"):
        choose_classes("1", renumbered)  # a name, and none of these
    animals = {"class_names": ["cat", "dog"], "classes": [0, 1]}
    assert labels_of(1, "1", animals) == labels_of(1, "DOG", animals) == [1]
    with pytest.raises(UserError, match="got: 7, which it does not know"):
        choose_classes("7", animals)


def test_single_files_are_named_by_seed_and_class():
    def name(classes=None, names=("a/b: c", "..", "\x1b[2J", "\u4e00" * 300)):
        request = Request(range(12), classes)
        (path,) = script.file_paths(Path("x"), request, names, [3])
        return path.name

    assert name() == "seed_000003.png"
    assert name([0]) == "seed_000003_class_a_b_c.png"
    assert name([1]) == "seed_000003_class_1.png"
    assert name([2]) == "seed_000003_class_2J.png"
    assert len(name([3]).encode()) < 255


@pytest.mark.parametrize(("text", "seeds"), [
    ("0,1, 2", [0, 1, 2]), ("0-3", range(4)), ("5", range(5, 6)), ("0,3,8-10", [0, 3, 8, 9, 10]),
])
def test_lists_of_seeds_are_understood(text, seeds):
    assert seed_list(text) == seeds


def test_slerp_stays_on_the_sphere_and_keeps_its_pace():
    start, end = np.array([[3.0, 0, 0]]), np.array([[0, 3.0, 0]])
    t = np.linspace(0, 1, 7)
    way = slerp(start.repeat(7, 0), end.repeat(7, 0), t)
    np.testing.assert_allclose(way[:, 0], 3 * np.cos(t * np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(way[:, 1], 3 * np.sin(t * np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(slerp(start, -start, np.array([0.25])), [[1.5, 0, 0]])


@pytest.fixture
def generated(monkeypatch, capsys, tmp_path, tensorflow):
    """A function that runs generate.py in this process: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["generate.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_script("generate.py", script.main)
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


def refusal(done):
    """The one line of a refused command."""
    code, _, errors = done
    assert code == 2, errors
    (line,) = errors.splitlines()
    return line


@pytest.fixture(scope="module")
def two_of_ten(make_export):
    """An export that knows ten class names and saw the classes 3 and 7."""
    return make_export([3, 3, 7, 7], class_names=TEN["class_names"])


def edit(folder, **changes):
    """Change entries of an export's metadata; None removes one."""
    path = folder / METADATA
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in found.items()
                                if value is not None}))


def test_classes_that_were_never_seen_are_not_drawn(two_of_ten, generated, tmp_path):
    assert read_metadata(two_of_ten)["classes"] == [3, 7]
    arguments = ["--model", two_of_ten, "--output", "a.npz", "--num-images", 4, "--label"]
    assert "(3, 7), got: 0, of which it saw no image" in refusal(generated(*arguments, "0"))
    assert generated(*arguments, "each")[0] == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["labels"].tolist() == [3, 3, 7, 7]


def test_labels_that_do_not_exist_are_told(two_of_ten, tensorflow):
    from gan.generator import SavedGenerator
    saved = SavedGenerator(two_of_ten)
    with pytest.raises(UserError, match=r"labels: expected classes .*\(3, 7\), got: 9"):
        saved.sample([0, 1], [3, 9])
    graph = tensorflow.saved_model.load(str(two_of_ten)).signatures["sample_labels"]
    with pytest.raises(tensorflow.errors.InvalidArgumentError, match="expected classes of"):
        graph(seeds=tensorflow.constant([0], tensorflow.int64), labels=tensorflow.constant([4]))


def test_a_run_without_an_export_says_how_to_export(generated, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    line = refusal(generated("--model", "run"))
    assert "not finished: run; python train_gan.py --resume --outdir run finishes" in line
    assert "--max-minutes 0.01 exports it as it is" in line
    assert refusal(generated("--model", "run/exported_model")) == line


def test_metadata_names_no_path(tiny_run):
    about = read_metadata(tiny_run[0] / "exported_model")
    assert about["config"]["dataset"] == "shapes.npz"
    assert "outdir" not in about["config"]
    assert not re.search(r'": "/', json.dumps(about))


def test_a_generator_without_labels_says_how_it_was_trained(make_export, generated, tmp_path):
    export = make_export(None, class_names=["0", "1"])
    line = refusal(generated("--model", export, "--label", "1"))
    assert "--label: needs a generator that was trained with --condition labels, this one was " \
           "trained with --condition none" in line
    assert not list(tmp_path.iterdir())


def steps_of(path, frames):
    """Root mean square differences of consecutive frames of a looping GIF, in grey levels."""
    gif, shown = Image.open(path), []
    assert gif.n_frames == frames
    for frame in range(frames):
        gif.seek(frame)
        shown.append(np.asarray(gif.convert("L"), np.float64))
    return np.array([np.sqrt(np.square(now - before).mean())
                     for before, now in zip([shown[-1], *shown[:-1]], shown, strict=True)])


def test_an_interpolation_from_class_to_class_does_not_jump(two_of_ten, generated, tmp_path):
    assert generated("--model", two_of_ten, "--output", "a.gif", "--label", "each",
                     "--interpolate", "0,1")[0] == 0
    steps = steps_of(tmp_path / "a.gif", 48)
    assert np.median(steps) > 0.5 and steps.max() < 2 * np.median(steps)


def test_images_from_vectors_are_those_of_the_conditions(two_of_ten, tensorflow):
    model = tensorflow.saved_model.load(str(two_of_ten))
    drawn = model.signatures["latents"](seeds=tensorflow.range(9, dtype=tensorflow.int64))
    vectors = model.signatures["condition_vectors"](conditions=drawn["conditions"])["vectors"]
    assert vectors.shape == (9, 5) and vectors.numpy().sum(axis=1).tolist() == [2] * 9
    np.testing.assert_array_equal(
        model.signatures["images_from_vectors"](latents=drawn["latents"],
                                                vectors=vectors)["images"],
        model.signatures["serving_default"](**drawn)["images"])


def test_png_names_carry_the_class(two_of_ten, generated, tmp_path):
    assert generated("--model", two_of_ten, "--label", "each", "--seeds", "2,5")[0] == 0
    assert sorted(path.name for path in (tmp_path / "generated").iterdir()) == [
        "seed_000002_class_3.png", "seed_000005_class_7.png"]


def test_fewer_places_than_classes_are_noted(make_export, generated):
    export = make_export(list(range(5)), class_names=list("abcde"))
    code, output, _ = generated("--model", export, "--output", "a.png", "--label", "each",
                                "--grid", "1x3")
    assert code == 0
    assert output.splitlines()[0] == \
        "note: 3 images for 5 classes; only the first 3 classes are drawn"


@pytest.mark.parametrize("changes", [
    {"sample_shape": [2]}, {"sample_shape": [16, 16]}, {"sample_shape": [16, 16, 3]},
    {"sample_shape": [32, 32, 1]}, {"sample_shape": [16, 12, 1]}, {"sample_shape": "x"},
    {"config": {}}, {"config": {"dataset": 3}}, {"config": None}, {"classes": [10]},
    {"classes": [-1]}, {"extent": 0}, {"extent": "wide"}, {"sha256": {}},
    {"sha256": None}, {"conditions": 3}, {"classes": None}, {"class_names": [3]},
    {"latent_dim": "8"},
])
def test_wrong_metadata_is_one_line(two_of_ten, generated, tmp_path, changes):
    shutil.copytree(two_of_ten, tmp_path / "export")
    edit(tmp_path / "export", **changes)
    line = refusal(generated("--model", "export", "--output", "a.npz", "--num-images", 2))
    assert "export/assets.extra/gan.json: expected " in line
    assert not (tmp_path / "a.npz").exists()


def test_metadata_that_is_no_file_does_not_hang(two_of_ten, generated, tmp_path):
    shutil.copytree(two_of_ten, tmp_path / "export")
    (tmp_path / "export" / METADATA).unlink()
    os.mkfifo(tmp_path / "export" / METADATA)
    assert "not a regular file" in refusal(generated("--model", "export"))


def test_a_run_is_named_by_its_folder(two_of_ten, generated, tmp_path, monkeypatch):
    assert find_export(two_of_ten.parent) == two_of_ten == find_export(two_of_ten)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run = ["--model", os.path.relpath(two_of_ten.parent), "--num-images", 1]
    for place, found in (("--outdir=~/x", "home/x/seed_000000.png"), ("--output=~/a.png",
                         "home/a.png"), ("--output=-dash.png", "-dash.png")):
        assert generated(*run, place)[0] == 0
        assert (tmp_path / found).is_file()
    assert refusal(generated("--outdir=")) == \
        "generate.py: error: --outdir: expected the name of a folder, got: ''"
    assert refusal(generated("--output=")) == \
        "generate.py: error: --output: expected the name of a file, got: ''"
    assert "no such home folder" in refusal(generated("--outdir=~nobody-of-that-name/x"))


FORMS = {"grid.png": ["--output", "generated/grid.png"],
         "a.npz": ["--output", "generated/a.npz"],
         "a.gif": ["--output", "generated/a.gif", "--interpolate", "0,1"],
         "seed_000005.png": ["--seeds", "5"]}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", ["file", "folder", "broken link", "FIFO"])
def test_what_lies_in_the_place_of_a_file_stays(two_of_ten, generated, tmp_path, name, kind):
    path = tmp_path / "generated" / name
    path.parent.mkdir()
    {"file": lambda: path.write_text("mine"), "folder": path.mkdir,
     "broken link": lambda: path.symlink_to(tmp_path / "elsewhere"),
     "FIFO": lambda: os.mkfifo(path)}[kind]()
    arguments = ["--model", two_of_ten, *FORMS[name]]
    line = refusal(generated(*arguments))
    if kind == "file":
        assert f"{name} exists; expected --force" in line and path.read_text() == "mine"
    else:
        got = {"FIFO": "no file"}.get(kind, f"a {kind}")
        assert f"{name}: expected a file or nothing, got {got}" in line
        assert refusal(generated(*arguments, "--force")) == line
        assert not (tmp_path / "elsewhere").exists()
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--seeds", "5,5,5"], "--seeds: expected each seed once"),
    (["--seeds", "0-10,5-15"], "--seeds: expected each seed once"),
    (["--interpolate", "0-1000000"], "at most 10,000 frames in all, got: 24,000,024 "
     "(1,000,001 seeds, --frames 24)"),
    (["--interpolate", "a"], "--interpolate: expected numbers and ranges such as 0,3,8-15"),
    (["--output", "a.png", "--grid", "2x2", "--seeds", "0-4"], "--grid: expected at least 5"),
    (["--grid", "2x2"], "--grid: expected --output FILE.png for the grid, got: none"),
    (["--grid", "2x2", "--output", "a.npz"], "expected --output FILE.png"),
    (["--interpolate", "0,1"], "--interpolate: expected --output FILE for the animation"),
    (["--interpolate", "0,1", "--output", "a.npz"], "expected a name that ends in .gif, .webp"),
    (["--output", "a.csv"], "--output: expected a file that ends in .png, .npz (with --inter"),
    (["--output", "a.png", "--num-images", "10001"], "--num-images: expected at most 10,000"),
    (["--label", "\x1b[31mred\n"], r"got: \x1b[31mred"),
])
def test_more_that_is_refused(two_of_ten, generated, arguments, expected):
    line = refusal(generated("--model", two_of_ten, *arguments))
    assert expected in line and line.isprintable()


def test_names_are_printed_without_their_escape_sequences(two_of_ten, generated, tmp_path):
    name = "a\x1b]0;title\x07\u202eb.png"
    code, output, _ = generated("--model", two_of_ten, "--num-images", 1, "--output", name)
    assert code == 0 and (tmp_path / name).is_file()
    assert output == r"a\x1b]0;title\x07\u202eb.png: 1 images, seeds 0 to 0" "\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_killed_process_left_is_removed(two_of_ten, tmp_path, number):
    command = [sys.executable, str(ROOT / "generate.py"), "--model", str(two_of_ten),
               "--output", "generated/a.npz"]
    process = subprocess.Popen([*command, "--num-images", str(10**8)], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 100
    while not list(tmp_path.glob("generated/.gan-partial-*")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    left = [path.name for path in (tmp_path / "generated").iterdir()]
    if number == signal.SIGTERM:
        assert process.returncode == 143 and errors == "generate.py: interrupted\n" and not left
        return
    assert len(left) == 1
    (tmp_path / "generated/.gan-partial-thesis12").write_text("not ours")
    assert subprocess.run([*command, "--num-images", "2"], cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "generated").iterdir()) == [
        ".gan-partial-thesis12", "a.npz"]
