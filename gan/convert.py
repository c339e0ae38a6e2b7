"""Conversion of an exported generator for programs that do not run TensorFlow.

    python -m gan.convert --to litert --precision float16
    python -m gan.convert --to onnx

It takes latents and conditions; those of seeds are written beside it, so that a seed still
names an image.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.common.command_line import OptionParser, file, folder, one_of, say_parts, seed_list
from gan.common.device import hidden_messages
from gan.common.errors import UserError, printable, run_script
from gan.common.files import atomic_file, refuse_existing
from gan.data.pixels import premultiplied, slices_of
from gan.data.sample_types import Images, sample_type_of
from gan.generator import SavedGenerator
from gan.run.folder import claimed

SIGNATURE = "serving_default"
GRAY_LEVEL = 1 / 255  # by which a conversion may move a pixel, or a point in shares of the plane
OPSET = 17  # of ONNX; what runtimes since 2022 read
MAX_SEEDS = 10**6  # in the file beside the model
COMPARED = range(64)  # seeds
AT_ONCE = 8  # of them, for the sake of memory


class Format(NamedTuple):
    """A format that a generator can be converted to."""

    suffix: str
    precisions: tuple  # that the weights can have
    convert: Callable  # (SavedGenerator, precision) → bytes
    load: Callable  # those bytes → function of a dict of arrays that returns the images


def main(argv=None):
    """Convert as a command line says (None: the process's own); returns the exit code."""
    options = make_parser().parse_args(argv)
    form, generator = FORMATS[options.to], SavedGenerator(options.model)
    output = Path(options.output or f"generator{form.suffix}")
    beside = output.with_name(f"{output.stem}_seeds.npz")
    _check(options, form)
    refuse_existing(output, options.force, "--output")
    latents, conditions = generator.latents(options.seeds)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, seeds=np.asarray(options.seeds, np.int64), latents=latents,
                        conditions=conditions)
    # Of another format of the same generator it is the same file.
    if not (beside.is_file() and beside.read_bytes() == buffer.getvalue()):
        refuse_existing(beside, options.force, "--output")
    converted, difference = _convert(form, options, generator)
    for path, content in ((output, converted), (beside, buffer.getvalue())):
        with claimed(path), atomic_file(path) as target:
            target.write(content)
    differs = (f"{difference / GRAY_LEVEL:.2g} gray levels"
               if sample_type_of(generator.sample_shape) is Images else f"{difference:.2g}")
    say_parts([f"{printable(output)}: {len(converted) / 1e6:.2f} MB,",
               f"at most {differs} from the SavedModel on {len(COMPARED)} latents"])
    print(f"{printable(beside)}: latents and conditions of {len(options.seeds):,} seeds")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.convert", description="Convert an exported "
                          "generator to LiteRT (TensorFlow Lite) or ONNX, and compare it with the "
                          "SavedModel before it is written.")
    add = parser.add_argument
    add("--to", type=one_of(tuple(FORMATS)), required=True, metavar="{" + ",".join(FORMATS) + "}",
        help="onnx needs pip install -r requirements-export.txt")
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="the export, or the run that wrote it (default: exported_model)")
    add("--output", type=file, metavar="FILE",
        help="default: generator.tflite or .onnx; FILE_seeds.npz goes beside it")
    add("--precision", type=one_of(("float32", "float16")), default="float32",
        metavar="{float32,float16}",
        help="of the weights; float16 for litert alone (default: float32)")
    add("--seeds", type=seed_list, default=range(1000), metavar="LIST",
        help="whose latents and conditions are written (default: 0-999)")
    add("--force", action="store_true", help="overwrite files that exist")
    return parser


def _check(options, form):
    if options.precision not in form.precisions:
        raise UserError(f"--precision: expected {' or '.join(form.precisions)} with --to "
                        f"{options.to}, got: {options.precision}")
    if len(options.seeds) > MAX_SEEDS:
        raise UserError(f"--seeds: expected at most {MAX_SEEDS:,}, got: {len(options.seeds):,}")


def _convert(form, options, generator):
    with hidden_messages():  # what the converters say of their progress
        try:
            converted = form.convert(generator, options.precision)
            difference = compare(form.load(converted), generator)
        except ImportError as error:
            raise UserError(f"--to {options.to} needs pip install -r requirements-export.txt "
                            f"({error})") from error
        except Exception as error:  # the converters and runtimes have dozens of their own
            raise UserError(f"--to {options.to}: expected a generator that can be converted and "
                            f"loaded, got {type(error).__name__}: {error!s:.300}") from error
    if not difference <= GRAY_LEVEL * np.max(generator.metadata.get("extent", 1)):  # nor is NaN
        raise UserError(f"--to {options.to}: expected what the SavedModel draws within a gray "
                        f"level, got up to {difference / GRAY_LEVEL:.2g}; nothing is written")
    return converted, difference


def compare(draw, generator):
    """Return the largest difference of a pixel in [0, 1], or of a coordinate.

    `draw` is a function of a dict of arrays that returns samples of the converted generator.
    """
    latents, conditions = generator.latents(COMPARED)
    takes = generator.signatures[SIGNATURE].structured_input_signature[1]
    differences = []
    for part in slices_of(latents, AT_ONCE):
        named = {"latents": latents[part], "conditions": conditions[part]}
        (expected,) = generator.call(SIGNATURE, **named).values()
        found = np.asarray(draw({name: named[name] for name in takes}))
        if found.shape != expected.shape:
            return np.inf
        differences.append(np.abs(premultiplied(found) - premultiplied(expected)).max())
    return float(np.max(differences))


def _to_litert(generator, precision):
    import tensorflow as tf

    # Not from the folder: that would run the file's outermost graph, which nothing else does.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([generator.signatures[SIGNATURE]],
                                                                generator.model)
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _load_litert(converted):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=converted)
    run = interpreter.get_signature_runner(SIGNATURE)
    return lambda given: next(iter(run(**given).values()))


def _to_onnx(generator, precision):
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    signature = generator.signatures[SIGNATURE]
    frozen = convert_variables_to_constants_v2(signature)
    ends = [tensor.name for tensor in frozen.outputs]
    names = {tensor.name: tensor.op.name for tensor in frozen.inputs}  # "latents:0" is "latents"
    names |= dict(zip(ends, signature.structured_outputs, strict=True))
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(), name="generator", opset=OPSET, output_names=ends,
        input_names=[tensor.name for tensor in frozen.inputs], tensors_to_rename=names)
    return converted.SerializeToString()


def _load_onnx(converted):
    import onnxruntime

    session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, given)[0]


FORMATS = {
    "litert": Format(".tflite", ("float32", "float16"), _to_litert, _load_litert),
    "onnx": Format(".onnx", ("float32",), _to_onnx, _load_onnx),
}


if __name__ == "__main__":
    run_script("gan.convert", main)
