"""Loading an export: what every export contains is allowed, other operations are refused."""

import json
import shutil

import pytest

from gan.common.errors import UserError
from gan.generator import (
    METADATA,
    STRUCTURE,
    SavedGenerator,
    checksums,
    computes,
    refuse_other_operations,
)


def attack_sample(tf, victim, name):
    """Return a function that writes the victim's file in one of many ways, then draws zeros."""
    path = tf.constant(str(victim))

    def write(i):
        with tf.control_dependencies([tf.io.write_file(path, "written")]):
            return i + 1

    def act(seeds):
        number = tf.shape(seeds)[0]
        if name == "WriteFile":
            number = tf.while_loop(lambda i: i < number, lambda i: write(i), [0])[0]
        elif name == "ReadFile":
            number += tf.strings.length(tf.io.read_file("/etc/hostname")) * 0
        elif name == "SaveV2":
            with tf.control_dependencies([tf.raw_ops.SaveV2(
                    prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[number])]):
                number = tf.identity(number)
        elif name == "EagerPyFunc":
            number += tf.py_function(lambda: victim.write_text("written") * 0, [], tf.int32)
        return {"images": tf.zeros([number, 16, 16, 1], tf.uint8)}

    return act


@pytest.fixture(scope="module")
def two_class_export(make_export):
    return make_export([0, 1], class_names=["a", "b"])


@pytest.fixture
def make_evil(tensorflow, two_class_export, tmp_path):
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
        (folder / METADATA).write_text(json.dumps({**metadata, "sha256": checksums(folder)}))
        return folder

    return make


@pytest.mark.parametrize("name", ["WriteFile", "ReadFile", "SaveV2", "EagerPyFunc"])
def test_models_that_do_more_than_compute_are_refused(make_evil, tmp_path, name):
    folder = make_evil(name, tmp_path / "victim")
    with pytest.raises(UserError, match=f"got the operation {name} in the function"):
        SavedGenerator(folder).sample([0])
    assert not list(tmp_path.glob("victim*"))


def test_a_model_that_only_computes_is_loaded(make_evil, tmp_path):
    assert SavedGenerator(make_evil("", tmp_path / "x")).sample([0, 1]).shape == (2, 16, 16, 1)


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
    *((change, "MergeV2Checkpoints|SaveV2|ShardedFilename|StringJoin|StaticRegex")
      for change in (call_the_saving, name_the_saving_as_object, offer_the_saving_instead)),
    (rename_an_operation, "the operation MyOperation in the function"),
    (write_at_the_start, "the operation WriteFile in its outermost graph"),
    (lambda model: model.meta_graphs[0].ClearField("object_graph_def"), "of TensorFlow 2"),
    (lambda model: model.meta_graphs.add(), "of TensorFlow 2"),
])
def test_a_changed_file_is_refused(two_class_export, tmp_path, change, expected):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    shutil.copytree(two_class_export, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "saved_model.pb"
    model = SavedModel.FromString(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=expected):
        refuse_other_operations(tmp_path)


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
    refuse_other_operations(make_export(class_of, arch, shape, options))


def test_every_architecture_is_among_them():
    from gan.models import ARCHITECTURES

    assert {arch for arch, *_ in ALLOWED} == ARCHITECTURES.keys()


def test_operations_of_layers_that_a_reader_adds_are_allowed(tensorflow):
    allowed = ("Erf", "Softplus", "Einsum", "ResizeNearestNeighbor", "Elu", "Pad", "Mean")
    assert all(name in STRUCTURE or computes(name) for name in allowed)
    others = ("ReadFile", "WriteFile", "MatchingFiles", "PyFuncStateless", "Print", "RemoteCall",
              "TextLineDataset", "XlaCallModule", "RandomUniform", "NoSuchOperation")
    assert not any(name in STRUCTURE or computes(name) for name in others)
