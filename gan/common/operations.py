"""Operations of a SavedModel: only those that compute are allowed.

A SavedModel is a program: TensorFlow has operations that write files, open connections and
call Python. Before anything of a model runs, all of its operations are looked up: allowed are
those that only compute, call, loop and read variables.
"""

from gan.common.errors import UserError, reading

STRUCTURE = {  # calls, loops, variables
    "Assert", "AssignVariableOp", "Case", "DisableCopyOnRead", "Einsum", "If", "PartitionedCall",
    "ReadVariableOp", "ResourceGather", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
    "StatelessWhile", "TensorListFromTensor", "TensorListGetItem", "TensorListReserve",
    "TensorListSetItem", "TensorListStack", "VarHandleOp", "While"}
CHECKPOINT = {"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename",
              "StaticRegexFullMatch", "StringJoin"}
PLAIN_ATTRIBUTES = {"_construction_context", "_input_shapes"}  # of a function


def refuse_other_operations(path):
    """Refuse a `saved_model.pb` that could do anything but compute; it is parsed, not loaded."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with reading(path, "a SavedModel"):
        graphs = SavedModel.FromString(path.read_bytes()).meta_graphs
    # Others are loaded by TensorFlow 1's rules, which run the outermost graph.
    if len(graphs) != 1 or not graphs[0].HasField("object_graph_def"):
        raise UserError(f"{path}: expected a SavedModel of TensorFlow 2, got another")
    graph, objects = graphs[0].graph_def, graphs[0].object_graph_def.SerializeToString()
    library = graph.library.SerializeToString()
    parts = [("its outermost graph", graph.node, STRUCTURE)]
    for function in graph.library.function:
        # Neither a function nor an object nor a rewriting of the graph leads to it.
        name = function.signature.name
        never_called = (name.encode() not in objects and library.count(name.encode()) == 1
                        and set(function.attr) <= PLAIN_ATTRIBUTES)
        parts.append((f"the function {name}", function.node_def,
                      STRUCTURE | CHECKPOINT if never_called else STRUCTURE))
    for where, nodes, allowed in parts:
        for node in nodes:
            if node.op not in allowed and not computes(node.op):
                raise UserError(
                    f"{path}: expected a generator that only computes with numbers, got the "
                    f"operation {node.op} in {where}; a program that could read or write files "
                    "is not run")


def computes(name):
    """Return whether a registered operation turns numbers into numbers and does nothing else."""
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
