"""Loading an export: what every export contains is allowed, other operations are refused."""

import json
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from gan.common.errors import UserError
from gan.common.operations import STRUCTURE, computes, refuse_other_operations
from gan.generator import SavedGenerator
from gan.models import ARCHITECTURES
from gan.run.exported import METADATA, MODEL, checksums


@pytest.fixture(scope="module")
def two_class_export(make_export):
    return make_export([0, 1], class_names=["a", "b"])


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


def drawing(name):
    """A function that adds an operation to a function that draws."""
    return lambda model: next(
        function for function in model.meta_graphs[0].graph_def.library.function
        if "sample" in function.signature.name).node_def.add(op=name, name="added")


@pytest.mark.parametrize(("change", "expected"), [
    *((change, "MergeV2Checkpoints|SaveV2|ShardedFilename|StringJoin|StaticRegex")
      for change in (call_the_saving, name_the_saving_as_object, offer_the_saving_instead)),
    *((drawing(name), f"the operation {name} in the function")
      for name in ("WriteFile", "ReadFile", "EagerPyFunc", "MyOperation")),
    (lambda model: model.meta_graphs[0].graph_def.node.add(op="WriteFile", name="added"),
     "the operation WriteFile in its outermost graph"),
    (lambda model: model.meta_graphs[0].ClearField("object_graph_def"), "of TensorFlow 2"),
    (lambda model: model.meta_graphs.add(), "of TensorFlow 2")])
def test_more_than_computing_is_refused(two_class_export, tmp_path, monkeypatch, change, expected):
    shutil.copytree(two_class_export, tmp_path, dirs_exist_ok=True)
    file, about = tmp_path / "saved_model.pb", tmp_path / METADATA
    model = SavedModel.FromString(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    metadata = json.loads(about.read_text())
    about.write_text(json.dumps({**metadata, "sha256": checksums(tmp_path)}))
    monkeypatch.setattr(tf.saved_model, "load", None)
    with pytest.raises(UserError, match=expected):
        SavedGenerator(tmp_path).signatures  # noqa: B018 - loads it


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
