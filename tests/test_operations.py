"""Operations of a SavedModel: those of every export are allowed, others refused by name."""

import hashlib
import json
import shutil

import pytest

from gan.common.errors import UserError
from gan.metadata import METADATA
from gan.operations import STRUCTURE, computes, refuse_other_operations


def attack_sample(tf, victim, name):
    """Return a function that writes the victim's file in one of many ways, then draws zeros."""
    path = tf.constant(str(victim))

    @tf.function
    def nested(count):
        return tf.while_loop(lambda i: i < count, lambda i: write(i), [0])[0]

    def write(i):
        with tf.control_dependencies([tf.io.write_file(path, "written")]):
            return i + 1

    def act(seeds):
        number = tf.shape(seeds)[0]
        if name == "WriteFile":
            number = write(number) - 1
        elif name == "WriteFile in a loop":
            number = nested(number)
        elif name == "ReadFile":
            number += tf.strings.length(tf.io.read_file("/etc/hostname")) * 0
        elif name == "SaveV2":
            with tf.control_dependencies([tf.raw_ops.SaveV2(
                    prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[number])]):
                number = tf.identity(number)
        elif name == "RestoreV2":
            number += tf.raw_ops.RestoreV2(prefix=path, tensor_names=["a"],
                                           shape_and_slices=[""], dtypes=[tf.int32])[0]
        elif name == "PrintV2":
            with tf.control_dependencies([tf.print("hello")]):
                number = tf.identity(number)
        elif name == "EagerPyFunc":
            number += tf.py_function(lambda: victim.write_text("written") * 0, [], tf.int32)
        return {"images": tf.zeros([number, 16, 16, 1], tf.uint8)}

    return act


@pytest.fixture
def evil(tensorflow, two_class_export, tmp_path):
    """A function that writes an "export" which does something else than draw."""
    tf = tensorflow
    seeds = [tf.TensorSpec([None], tf.int64, name="seeds")]

    def make(name, victim):
        module, folder = tf.Module(), tmp_path / "evil"
        module.sample = tf.function(attack_sample(tf, victim, name), input_signature=seeds)
        module.latents = tf.function(lambda seeds: {
            "latents": tf.zeros([tf.shape(seeds)[0], 8]),
            "conditions": tf.zeros([tf.shape(seeds)[0]], tf.int32)}, input_signature=seeds)
        module.serve = tf.function(
            lambda latents: {"images": tf.zeros([tf.shape(latents)[0], 16, 16, 1])},
            input_signature=[tf.TensorSpec([None, 8], tf.float32, name="latents")])
        tf.saved_model.save(module, str(folder), signatures={
            "serving_default": module.serve, "latents": module.latents, "sample": module.sample})
        (folder / METADATA).parent.mkdir()
        metadata = json.loads((two_class_export / METADATA).read_text())
        metadata["sha256"] = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}
        (folder / METADATA).write_text(json.dumps(metadata))
        return folder

    return make


@pytest.fixture(scope="module")
def two_class_export(make_export):
    return make_export([0, 1], class_names=["a", "b"])


@pytest.mark.parametrize("name", ["WriteFile", "WriteFile in a loop", "ReadFile", "SaveV2",
                                  "RestoreV2", "PrintV2", "EagerPyFunc"])
def test_models_that_do_more_than_compute_are_refused(evil, tmp_path, name):
    from gan.generator import SavedGenerator

    victim = tmp_path / "victim"
    folder = evil(name, victim)
    found = {"PrintV2": "StringFormat"}.get(name, name.split()[0])
    with pytest.raises(UserError, match=f"got the operation {found} in the function"):
        SavedGenerator(folder).sample([0])
    assert not list(tmp_path.glob("victim*"))


def test_a_model_that_only_computes_is_loaded(evil, tmp_path):
    from gan.generator import SavedGenerator

    assert SavedGenerator(evil("", tmp_path / "victim")).sample([0, 1]).shape == (2, 16, 16, 1)


def altered(export, tmp_path, change):
    """Copy an export with its parsed SavedModel changed."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    folder = tmp_path / "altered"
    shutil.copytree(export, folder)
    model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    change(model)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def saving(model):
    """The function that saves a model's variables."""
    return next(function for function in model.meta_graphs[0].graph_def.library.function
                if any(node.op == "SaveV2" for node in function.node_def))


def call_the_saving(model):
    """Let a function that draws call the one that saves."""
    graph, name = model.meta_graphs[0].graph_def, saving(model).signature.name
    caller = next(function for function in graph.library.function
                  if "sample" in function.signature.name)
    node = caller.node_def.add(op="StatefulPartitionedCall", name="added")
    node.attr["f"].func.name = name


def name_the_saving_as_object(model):
    model.meta_graphs[0].object_graph_def.nodes.add().bare_concrete_function \
        .concrete_function_name = saving(model).signature.name


def offer_the_saving_instead(model):
    """Ask the optimizer of graphs to put the saving function in another's place."""
    saving(model).attr["api_implements"].s = b"drawing"


def rename_an_operation(model):
    model.meta_graphs[0].graph_def.library.function[0].node_def[0].op = "MyOperation"


def write_at_the_start(model):
    model.meta_graphs[0].graph_def.node.add(op="WriteFile", name="added")


@pytest.mark.parametrize(("change", "expected"), [
    (call_the_saving, "MergeV2Checkpoints|SaveV2|ShardedFilename|StringJoin|StaticRegex"),
    (name_the_saving_as_object, "MergeV2Checkpoints|SaveV2|Sharded|StringJoin|StaticRegex"),
    (offer_the_saving_instead, "MergeV2Checkpoints|SaveV2|Sharded|StringJoin|StaticRegex"),
    (rename_an_operation, "the operation MyOperation in the function"),
    (write_at_the_start, "the operation WriteFile in its outermost graph"),
    (lambda model: model.meta_graphs[0].ClearField("object_graph_def"), "of TensorFlow 2"),
    (lambda model: model.meta_graphs.add(), "of TensorFlow 2"),
])
def test_a_changed_file_is_refused(two_class_export, tmp_path, change, expected):
    with pytest.raises(UserError, match=expected):
        refuse_other_operations(altered(two_class_export, tmp_path, change))


@pytest.mark.parametrize(("arch", "shape", "options"), [
    ("conv", (28, 28, 1), {"upsampling": "filtered", "output": "smooth", "background": ([0], 40)}),
    ("conv", (16, 16, 3), {"output": "bright"}),
    ("dcgan", (64, 64, 3), {"output": "clip"}),
    ("resnet", (32, 32, 3), {"upsampling": "filtered"}),
    ("mlp", (16, 16, 1), {}),
    ("mlp", (2,), {}),
])
@pytest.mark.parametrize("class_of", [None, [0, 0, 1]])
def test_every_export_is_allowed(make_export, arch, shape, options, class_of):
    refuse_other_operations(make_export(class_of, arch, shape, options))


def test_every_architecture_is_among_them():
    from gan.models import ARCHITECTURES

    (marked,) = [mark for mark in test_every_export_is_allowed.pytestmark
                 if mark.args[0][0] == "arch"]
    assert {values[0] for values in marked.args[1]} == ARCHITECTURES.keys()


def test_operations_of_layers_that_a_reader_adds_are_allowed(tensorflow):
    allowed = ("Erf", "Softplus", "Einsum", "ResizeNearestNeighbor", "Elu", "Pad", "Mean")
    assert all(name in STRUCTURE or computes(name) for name in allowed)
    others = ("ReadFile", "WriteFile", "MatchingFiles", "PyFuncStateless", "Print", "RemoteCall",
              "TextLineDataset", "XlaCallModule", "RandomUniform", "NoSuchOperation")
    assert not any(name in STRUCTURE or computes(name) for name in others)
