"""Operations that a SavedModel may contain to be loaded here.

A SavedModel is a program: TensorFlow has operations that write files, open connections and
call Python. Before anything of a model runs, its file is parsed and every operation in it,
in every function, is looked up. Allowed are operations that compute numbers from numbers,
the few that call functions, read variables and loop, and, in the functions that save and
restore variables, which nothing here ever calls, those of TensorFlow's checkpoints.
"""

from pathlib import Path

from gan.common.errors import UserError

STRUCTURE = {  # calls, loops, variables
    "Assert", "AssignVariableOp", "Case", "DisableCopyOnRead", "Einsum", "If", "PartitionedCall",
    "ReadVariableOp", "ResourceGather", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
    "StatelessWhile", "TensorListFromTensor", "TensorListGetItem", "TensorListReserve",
    "TensorListSetItem", "TensorListStack", "VarHandleOp", "While"}
CHECKPOINT = {"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename",
              "StaticRegexFullMatch", "StringJoin"}
PLAIN_ATTRIBUTES = {"_construction_context", "_input_shapes"}  # of a function


def refuse_other_operations(folder):
    """Refuse a SavedModel that could do anything but compute; it is parsed, not loaded.

    Args:
        folder: the SavedModel.

    Raises:
        UserError: naming the first operation that is not allowed.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = Path(folder) / "saved_model.pb"
    try:
        graphs = SavedModel.FromString(path.read_bytes()).meta_graphs
    except DecodeError as error:
        raise UserError(f"{path}: expected a SavedModel, got a damaged file ({error})") from error
    # Others are loaded by TensorFlow 1's rules, which run the outermost graph.
    if len(graphs) != 1 or not graphs[0].HasField("object_graph_def"):
        raise UserError(f"{path}: expected a SavedModel of TensorFlow 2, got another")
    graph, objects = graphs[0].graph_def, graphs[0].object_graph_def.SerializeToString()
    library = graph.library.SerializeToString()
    _refuse(path, graph.node, "its outermost graph", allowed=STRUCTURE)
    for function in graph.library.function:
        unused = _is_never_called(function, library, objects)
        _refuse(path, function.node_def, f"the function {function.signature.name}",
                allowed=STRUCTURE | CHECKPOINT if unused else STRUCTURE)


def _refuse(path, nodes, where, allowed):
    for node in nodes:
        if node.op not in allowed and not computes(node.op):
            raise UserError(
                f"{path}: expected a generator that only computes with numbers, got the operation "
                f"{node.op} in {where}; a program that could read or write files is not run")


def computes(name):
    """Whether a registered operation turns numbers into numbers and can do nothing else."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(name)
    if definition is None or definition.is_stateful:
        return False
    texts_and_handles = {types_pb2.DT_STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}
    ends = [*definition.input_arg, *definition.output_arg]
    free = [each for each in definition.attr if not each.HasField("allowed_values")]
    return (not any(end.type in texts_and_handles or end.is_ref for end in ends)
            and not any(each.type.removeprefix("list(").rstrip(")") in ("string", "func")
                        for each in free))


def _is_never_called(function, library, objects):
    """Whether no function, no object and no rewriting of the graph can lead to a function."""
    name = function.signature.name.encode()
    return (name not in objects and library.count(name) == 1
            and set(function.attr) <= PLAIN_ATTRIBUTES)
