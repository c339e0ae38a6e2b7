"""generate.py: what it draws, what it calls its files, and which exports it refuses to load."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from gan.common.operations import STRUCTURE, computes, refuse_other_operations
from gan.data.datasets import load_dataset
from gan.drawing.samples import Wanted, picture_paths, slerp
from gan.generator import SavedGenerator
from gan.models import ARCHITECTURES
from gan.run.exported import METADATA, MODEL, checksums, find_export
from generate import choose_classes
from tests.conftest import assert_error, frames_of, run_script

TEN = {"class_names": [str(digit) for digit in range(10)], "classes": list(range(10)),
       "config": {"condition": "labels"}}


@pytest.fixture(scope="module")
def two_of_ten(make_export):
    """An export that knows ten class names and saw the classes 3 and 7."""
    return make_export([3, 3, 7, 7], class_names=TEN["class_names"])


@pytest.fixture
def generate(succeed, two_of_ten):
    """A function that runs generate.py with success and returns what it printed."""
    return lambda *options, model=two_of_ten: succeed("generate.py", "--model", model, *options)


def test_a_seed_names_one_image_in_every_form(generate, two_of_ten, tmp_path):
    saved = SavedGenerator(two_of_ten)
    images = saved.sample(np.arange(11))
    generate("--seeds", "0,3,8-10", "--batch-size", 2)
    seeds = (0, 3, 8, 9, 10)
    assert {path.name for path in (tmp_path / "generated").iterdir()} == {
        f"seed_{seed:06d}.png" for seed in seeds}
    for seed in seeds:
        picture = np.asarray(Image.open(tmp_path / f"generated/seed_{seed:06d}.png"))
        np.testing.assert_array_equal(picture, images[seed, ..., 0])
    generate("--npz", "--outdir", "all", "--num-images", 11, "--batch-size", 4)
    arrays = np.load(tmp_path / "all/samples.npz")
    np.testing.assert_array_equal(arrays["images"], images)
    assert arrays["seeds"].tolist() == list(range(11)) and arrays.keys() == {"images", "seeds"}
    generate("--grid", "2x3", "--output", "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    factor = grid.shape[1] // (3 * 18 + 2)
    np.testing.assert_array_equal(grid[::factor, ::factor][2:18, 20:36], images[1, ..., 0])


def test_an_interpolation_between_classes_is_a_loop_without_jumps(generate, two_of_ten, tmp_path):
    assert generate("--output", "a.gif", "--label", "each", "--interpolate", "1,5") == \
        "a.gif: 48 frames, seeds 1 to 5\n"
    frames = [np.float64(frame[::16, ::16]) for frame, _ in frames_of(tmp_path / "a.gif")]
    np.testing.assert_array_equal([frames[0], frames[24]],
                                  SavedGenerator(two_of_ten).sample([1, 5], [3, 7])[..., 0])
    steps = np.sqrt(np.square(np.diff([frames[-1], *frames], axis=0)).mean((1, 2)))
    assert len(steps) == 48 and np.median(steps) > 0.5 and steps.max() < 2 * np.median(steps)


def test_rows_of_interpolations_hold_at_their_seeds(generate, two_of_ten, tmp_path):
    ends = SavedGenerator(two_of_ten).sample(np.arange(8), [3] * 4 + [7] * 4)[..., 0]
    generate("--output", "a.png", "--interpolate", "0-7", "--grid", "2x2", "--label", "each",
             "--frames", 3, "--fps", 10, "--hold", 0.4, "--scale", 2, "--caption",
             "--batch-size", 8)
    frames = list(frames_of(tmp_path / "a.png"))
    assert [duration for _, duration in frames] == [500, 100, 100] * 2
    for frame, first in ((0, 0), (3, 1)):
        picture = frames[frame][0]
        assert picture.shape == (2 * 38 + 28, 2 * 38) and picture[76:].max() > 200  # the caption
        for cell in range(4):  # of two seeds each
            top, left = 4 + cell // 2 * 36, 4 + cell % 2 * 36
            np.testing.assert_array_equal(picture[top : top + 32 : 2, left : left + 32 : 2],
                                          ends[2 * cell + first])


def test_labels_and_truncation(generate, tmp_path):
    def drawn(*options):
        generate("--output", "a.npz", "--label", "each", "--num-images", 10, "--force", *options)
        arrays = np.load(tmp_path / "a.npz")
        assert arrays["labels"].tolist() == [3] * 5 + [7] * 5
        return arrays["images"].reshape(10, -1)

    assert len(np.unique(drawn(), axis=0)) == 10
    # Without a latent only the condition is left: a cluster has one image.
    assert len(np.unique(drawn("--truncation", 0), axis=0)) <= 4


@pytest.mark.parametrize(("side", "sizes"), [(16, [5, 5, 2]), (2048, [2] * 6), (9999, [1] * 12)])
def test_fewer_large_images_are_drawn_at_a_time(side, sizes):
    generator = SimpleNamespace(sample_shape=(side, side, 1), sample=lambda seeds, *_: seeds)
    parts = [seeds.tolist() for seeds in Wanted(range(12), batch_size=5).draw(generator)]
    assert list(map(len, parts)) == sizes and sum(parts, []) == list(range(12))


def labels(count, text="each", metadata=TEN):
    return Wanted(range(count), choose_classes(text, metadata, count)).labels()


def test_each_class_that_occurs_has_its_even_part_of_the_places():
    assert labels(12) == [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    assert labels(100) == [number for number in range(10) for _ in range(10)]  # a class a row
    for count in range(10, 200):
        numbers = np.bincount(labels(count), minlength=10)
        assert numbers.min() >= 1 and numbers.max() - numbers.min() <= 1
        assert labels(count) == sorted(labels(count))
    metadata = TEN | {"classes": [3, 7]}
    assert labels(4, metadata=metadata) == [3, 3, 7, 7]
    assert labels(2, "7", metadata) == [7, 7]
    renumbered = {"class_names": ["3", "7"], "classes": [0, 1]}
    assert labels(2, "7", renumbered) == [1, 1]
    animals = {"class_names": ["cat", "dog"], "classes": [0, 1]}
    assert labels(1, "1", animals) == labels(1, "DOG", animals) == [1]
    for text, known, expected in (("0", metadata, r"\(3, 7\), got: 0, of which it saw no image"),
                                  ("1", renumbered, "got: 1, which it does not know"),
                                  ("7", animals, "got: 7, which it does not know")):
        assert_error(expected, choose_classes, text, known, 1)


def test_single_files_are_named_by_seed_and_class(generate, tmp_path):
    def name(classes=None, folders=False, names=("a/b: c", "..", "A_b_C", "\u4e00" * 300)):
        paths = list(picture_paths("x", Wanted(range(12), classes), names, folders))
        assert len(set(paths)) == 12
        return str(paths[-1].relative_to("x"))

    assert name() == "seed_000011.png"
    assert name([0]) == "seed_000011_class_a_b_c.png"
    assert name([0, 2], folders=True) == "A_b_C_2/seed_000011.png"  # not the folder of a_b_c
    assert name([1]) == "seed_000011_class_1.png"
    assert len(name([3]).encode()) < 255
    generate("--label", "each", "--seeds", "2,5")
    assert {path.name for path in (tmp_path / "generated").iterdir()} == {
        "seed_000002_class_3.png", "seed_000005_class_7.png"}
    # Names are printed without their escape sequences.
    escaped = "a\x1b]0;title\x07\u202eb.png"
    assert generate("--num-images", 1, "--output", escaped) == (
        r"a\x1b]0;title\x07\u202eb.png: 1 image, seeds 0 to 0" "\n")
    assert (tmp_path / escaped).is_file()


def test_class_folders_can_be_trained_on(generate, two_of_ten, tmp_path, capsys):
    generate("--label", "each", "--folders", "--num-images", 6, "--outdir", "data")
    capsys.readouterr()
    data = load_dataset("data")
    assert capsys.readouterr().err == ""  # the seeds that count on mean nothing
    assert data.class_names == ("3", "7") and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    images = SavedGenerator(two_of_ten).sample(np.arange(6), [3] * 3 + [7] * 3)
    np.testing.assert_array_equal(data.images, images)


def test_slerp_stays_on_the_sphere_and_keeps_its_pace():
    start, end = np.array([[3.0, 0, 0]]), np.array([[0, 3.0, 0]])
    t = np.linspace(0, 1, 7)
    way = slerp(start.repeat(7, 0), end.repeat(7, 0), t)
    np.testing.assert_allclose(way[:, 0], 3 * np.cos(t * np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(way[:, 1], 3 * np.sin(t * np.pi / 2), atol=1e-12)
    np.testing.assert_allclose(slerp(start, -start, np.array([0.25])), [[1.5, 0, 0]])


def test_a_class_without_images_is_refused_in_python_and_in_the_graph(two_of_ten):
    saved = SavedGenerator(two_of_ten)
    assert_error(r"labels: expected classes .*\(3, 7\), got: 9", saved.sample, [0, 1], [3, 9])
    graph = tf.saved_model.load(str(two_of_ten)).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected classes of"):
        graph["sample_labels"](seeds=tf.constant([0], tf.int64), labels=tf.constant([4]))
    for number in (-1, 4):
        with pytest.raises(tf.errors.InvalidArgumentError, match="conditions: expected "):
            graph["serving_default"](latents=tf.zeros([1, 8]), conditions=tf.constant([number]))


def test_a_run_without_an_export_says_how_to_export(refused, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for model in ("run", "run/exported_model"):
        line = refused("generate.py", "--model", model)
        assert "not finished: run; python train_gan.py --resume --outdir run finishes" in line
        assert "--max-minutes 0.01 exports it as it is" in line


def test_a_single_condition_needs_none_to_be_given(make_export, generate, tmp_path):
    export = make_export(None)
    model = tf.saved_model.load(str(export))
    assert set(model.signatures) == {"serving_default", "sample", "latents"}
    served = model.signatures["serving_default"](latents=tf.zeros([3, 8]))["images"]
    assert served.shape == (3, 16, 16, 1)
    generate("--output", "a.gif", "--interpolate", "0,1", "--frames", 3, model=export)
    assert Image.open(tmp_path / "a.gif").n_frames == 6
    generate("--output", "a.png", "--grid", "2x2", "--truncation", 0.7, model=export)


@pytest.mark.parametrize(("name", "damage"), [
    *((METADATA, damage) for damage in (
        {"sample_shape": [2]}, {"sample_shape": [16, 16]}, {"sample_shape": [32, 32, 1]},
        {"config": {}}, {"config": {"dataset": 3}}, {"classes": [10]}, {"classes": None},
        {"sha256": {}}, {"conditions": 3}, {"class_names": [3]}, {"latent_dim": "8"},
        "cut", "gone", "FIFO")),
    *((name, damage) for name in (MODEL, "variables/variables.data-00000-of-00001")
      for damage in ("cut", "flip", "gone"))])
def test_a_damaged_export_is_noticed(two_of_ten, refused, tmp_path, name, damage):
    path = shutil.copytree(two_of_ten, tmp_path / "export") / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "FIFO":
        os.mkfifo(path)
    elif damage == "cut":
        path.write_bytes(whole[:100])
    elif damage == "flip":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage != "gone":  # None removes an entry
        entries = json.loads(whole) | damage
        path.write_text(json.dumps({name: entries[name] for name in entries
                                    if entries[name] is not None}))
    line = refused("generate.py", "--model", "export", "--output", "a.npz")
    no_export = damage == "gone" and name == MODEL
    assert ("expected a folder with an exported" if no_export else f"export/{name}: ") in line
    assert not (tmp_path / "a.npz").exists()


def test_a_run_is_named_by_its_folder(generate, refused, two_of_ten, tmp_path, monkeypatch):
    assert find_export(two_of_ten.parent) == two_of_ten == find_export(two_of_ten)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for place, found in (("--outdir=~/x", "home/x/seed_000000.png"), ("--output=~/a.png",
                         "home/a.png"), ("--output=-dash.png", "-dash.png")):
        generate("--num-images", 1, place, model=os.path.relpath(two_of_ten.parent, tmp_path))
        assert (tmp_path / found).is_file()


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--seeds", "5,5,5"], "--seeds: expected each seed once"),
    (["--interpolate", "0-1000000", "--output", "a.gif"], "at most 416 in this file"),
    (["--output", "a.png", "--grid", "2x2", "--seeds", "0-4"], "--grid: expected at least 5"),
    (["--grid", "2x2"], "--output: expected a file that ends in .png, got: none"),
    (["--interpolate", "0,1", "--output", "a.npz"], "expected a name that ends in .gif, .webp"),
    (["--output", "a.csv"], "--output: expected a file that ends in .png, .npz, got: a.csv"),
    (["--output", "a.png", "--num-images", "10001"], "--num-images: expected at most 10,000"),
    (["--outdir=~nobody-of-that-name/x"], "no such home folder"),
    (["--grid", "8"], "--grid: expected rows x columns such as 8x8"),
    (["--seeds", "4-2"], "--seeds: expected numbers and ranges such as 0,3,8-15, got: '4-2'"),
    (["--seeds", "1", "--num-images", "2"], "--seeds: expected no --num-images beside it"),
    (["--interpolate", "0-6", "--grid", "2x2", "--output", "a.gif"], "each cell of the grid, got"),
    (["--interpolate", "1", "--output", "a.gif"], "expected at least two seeds"),
    (["--frames", "5"], "--frames needs --interpolate"),
    (["--folders"], "--folders needs --label"),
    (["--folders", "--label", "3", "--output", "a.npz"], "--folders: expected no --output"),
    (["--npz", "--grid", "2x2"], "--npz: expected no --grid"),
    (["--truncation", "-1"], "--truncation: expected"),
    (["--model", "nowhere"], "--model: expected a folder with an exported generator")])
def test_wrong_options_are_refused(two_of_ten, refused, tmp_path, arguments, expected):
    line = refused("generate.py", "--model", two_of_ten, *arguments)
    assert expected in line and line.isprintable() and list(tmp_path.iterdir()) == []


def test_a_process_of_its_own_says_nothing_of_tensorflow(tiny_run, tmp_path):
    done = run_script("generate.py", "--model", tiny_run, "--output", "a.png", cwd=tmp_path)
    assert done.stderr == ""


def saving(model):
    """The function that saves a model's variables."""
    return next(function for function in model.meta_graphs[0].graph_def.library.function
                if any(node.op == "SaveV2" for node in function.node_def))


def drawing(model):
    """The function that draws."""
    return next(function for function in model.meta_graphs[0].graph_def.library.function
                if "sample" in function.signature.name)


def call_the_saving(model):
    """Let the function that draws call the one that saves."""
    node = drawing(model).node_def.add(op="StatefulPartitionedCall", name="added")
    node.attr["f"].func.name = saving(model).signature.name


def name_the_saving_as_object(model):
    model.meta_graphs[0].object_graph_def.nodes.add().bare_concrete_function \
        .concrete_function_name = saving(model).signature.name


def offer_the_saving_instead(model):
    """Ask the optimizer of graphs to put the saving function in another's place."""
    saving(model).attr["api_implements"].s = b"drawing"


@pytest.mark.parametrize(("change", "expected"), [
    *((change, "MergeV2Checkpoints|SaveV2|ShardedFilename|StringJoin|StaticRegex")
      for change in (call_the_saving, name_the_saving_as_object, offer_the_saving_instead)),
    *((lambda model, name=name: drawing(model).node_def.add(op=name, name="added"),
       f"the operation {name} in the function")
      for name in ("WriteFile", "ReadFile", "EagerPyFunc", "MyOperation")),
    (lambda model: model.meta_graphs[0].graph_def.node.add(op="WriteFile", name="added"),
     "the operation WriteFile in its outermost graph"),
    (lambda model: model.meta_graphs[0].ClearField("object_graph_def"), "of TensorFlow 2"),
    (lambda model: model.meta_graphs.add(), "of TensorFlow 2")])
def test_more_than_computing_is_refused(two_of_ten, tmp_path, monkeypatch, change, expected):
    shutil.copytree(two_of_ten, tmp_path, dirs_exist_ok=True)
    file, about = tmp_path / "saved_model.pb", tmp_path / METADATA
    model = SavedModel.FromString(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    metadata = json.loads(about.read_text())
    about.write_text(json.dumps({**metadata, "sha256": checksums(tmp_path)}))
    monkeypatch.setattr(tf.saved_model, "load", None)
    assert_error(expected, lambda: SavedGenerator(tmp_path).signatures)  # which loads it


ALLOWED = [
    ("conv", (28, 28, 1), None, {"upsampling": "filtered", "output": "smooth",
                                 "background": ([0], 40)}),
    ("conv", (16, 16, 3), [0, 0, 1], {"output": "bright"}),
    ("dcgan", (64, 64, 3), [0, 0, 1], {"output": "clip"}),
    ("resnet", (32, 32, 3), [0, 0, 1], {"upsampling": "filtered"}),
    ("mlp", (16, 16, 1), [0, 0, 1], {}),
    ("mlp", (2,), None, {}),
]


@pytest.mark.parametrize(("arch", "shape", "class_of", "options"), ALLOWED)
def test_every_export_is_allowed(make_export, arch, shape, class_of, options):
    refuse_other_operations(make_export(class_of, arch, shape, options) / MODEL)
    assert {arch for arch, *_ in ALLOWED} == ARCHITECTURES.keys()  # none is forgotten


def test_operations_of_layers_that_a_reader_adds_are_allowed():
    allowed = ("Erf", "Softplus", "Einsum", "ResizeNearestNeighbor", "Elu", "Pad", "Mean")
    assert all(name in STRUCTURE or computes(name) for name in allowed)
    others = ("ReadFile", "WriteFile", "MatchingFiles", "PyFuncStateless", "Print", "RemoteCall",
              "TextLineDataset", "XlaCallModule", "RandomUniform", "NoSuchOperation")
    assert not any(name in STRUCTURE or computes(name) for name in others)
