"""Pictures and labels in Parquet and TFRecord files, as in those of published data sets."""

import functools
import json
import os
import re
import threading

from gan.common.device import import_tensorflow
from gan.common.errors import UserError, listed, note, reading
from gan.data.arrays import check_memory
from gan.data.labels import CLASS_COLUMN, classes_in
from gan.data.layout import SPLITS, File, UnusableError, labeled

IMAGE_COLUMN = re.compile(
    r"(image|img|picture|photo)s?([ _/-]?(raw|encoded|bytes|data))?|jpe?g|png", re.I)
LABEL_COLUMNS = ("label", "labels", "image/class/text", "image/class/label", "fine_label")
MOST_BYTES = 2**27  # of a record
ROW_BYTES = 100  # of memory for a row, whose label may take no space in the file


def read_records(folder, files):
    """Return the training and the test pictures in Parquet and TFRecord files, as `arrange` does.

    Their names tell which they belong to: train-00000-of-00002.parquet.
    """
    parts = {}
    for file in files:
        parts.setdefault(_part_of(file), []).append(file)
    train = parts.get("train", files)
    tests = "train" in parts and (parts.get("test") or parts.get("validation")) or []
    if unused := [file.name for file in files if file not in train and file not in tests]:
        note(f"{folder}: {listed(unused)}: not used, as there are files of training pictures"
             + " and test pictures" * bool(tests))
    found, labels = [], []
    for file in (*train, *tests):
        read = _read_parquet if file.name.lower().endswith(".parquet") else _read_tfrecord
        readers, own, columns = read(file)
        found += [File(f"{file.name}/{number}", f"{file.path}/{number}", (),
                       (*file.identity, number), reader) for number, reader in enumerate(readers)]
        labels += own
        if file in train:
            count = len(found)
    if not count:
        raise UserError(f"{folder}: expected pictures, got files without rows")
    note(f"{folder}: {columns}")
    classes = _classes(folder, found, labels)
    return [labeled(folder, found[part], classes[part])
            for part in (slice(count), slice(count, None))]


def _part_of(file):
    """Return the key of `SPLITS` that is a word of a file's path, or None."""
    words = re.split(r"[^A-Za-z]+", file.name)
    return next((part for part, pattern in SPLITS.items() if any(map(pattern.fullmatch, words))),
                None)


def _classes(folder, files, labels):
    """Return the class of each picture, int or str; None without one."""
    rows = [{"file": file.name, "label": "" if label in (None, -1, []) or label != label else label}
            for file, label in zip(files, labels, strict=True)]
    classes, _ = classes_in(folder, ("file", "label"), rows, "file")
    return classes or [None] * len(rows)


def _choose(path, names, images, labels):
    """Return the columns of images and labels, of those that may be one; None without labels."""
    if not images:
        raise UserError(f"{path}: expected a column image of PNG or JPEG bytes, got: "
                        f"{listed(sorted(names)) or 'no columns'}")
    labels = [name for name in names if name in labels or CLASS_COLUMN.fullmatch(name)]
    label = next((name for name in (*LABEL_COLUMNS, *labels) if name in names), None)
    return images[0], label


def _named(labels, names):
    return [names[label] if type(label) is int and 0 <= label < len(names) else label
            for label in labels]


# Parquet, with the metadata of Hugging Face's data sets if there are any.


def _read_parquet(file):
    """Return readers of the pictures, see `File`, their labels, and the columns in words."""
    try:
        from pyarrow import parquet, types
    except ImportError as error:
        raise UserError(f"{file.path}: expected the package pyarrow, which reads Parquet files "
                        "(pip install pyarrow), got none") from error

    with reading(file.path, "a Parquet file"):
        opened = parquet.ParquetFile(file.path)
        schema, about = opened.schema_arrow, opened.metadata
        features = json.loads((schema.metadata or {}).get(b"huggingface", "{}"))
        features = features.get("info", {}).get("features", {})
        binary = [field.name for field in schema
                  if types.is_binary(field.type) or types.is_large_binary(field.type)
                  or types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0]
        images = [name for name in binary if IMAGE_COLUMN.fullmatch(name)]
        images += [name for name in binary if features.get(name, {}).get("_type") == "Image"]
        named = [name for name in schema.names if features.get(name, {}).get("names")]
        image, label = _choose(file.path, schema.names, images, named)
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        check_memory(max((group.total_byte_size for group in groups), default=0)
                     + ROW_BYTES * about.num_rows, file.path)
        labels = [None] * about.num_rows
        if label:
            labels = opened.read([label], use_threads=False).column(0).to_pylist()
            labels = _named(labels, features.get(label, {}).get("names") or ())

    lock = threading.Lock()

    @functools.lru_cache(maxsize=2)  # where one ends, threads read two
    def read_group(number):
        return opened.read_row_group(number, [image], use_threads=False).column(0)

    def read(number, place, size):
        with lock:
            content = read_group(number)[place].as_py()
        content = content.get("bytes") if isinstance(content, dict) else content
        if not content:
            raise UnusableError("the file holds its path, but not its bytes")
        return content[:size]

    readers = [functools.partial(read, number, place) for number, group in enumerate(groups)
               for place in range(group.num_rows)]
    return readers, labels, f"images: {image}, labels: {label or 'none'}"


# TFRecord: a length of 8 bytes, 4 bytes of checksum, a `tf.train.Example`, 4 more bytes.


def _read_tfrecord(file):
    """Return the same for a TFRecord file."""
    import_tensorflow(verbose=False)
    readers, labels, image, label = [], [], None, None
    with reading(file.path, "a TFRecord file, not compressed"), open(file.path, "rb") as opened:
        end = os.fstat(opened.fileno()).st_size
        while (start := opened.tell() + 12) <= end:
            size = int.from_bytes(opened.read(8), "little")
            if start + size + 4 > end or size > MOST_BYTES:
                raise ValueError(f"a record of {size:,} bytes")
            features = _parse_example(opened, start, size)
            if image is None:
                image, label = _choose(
                    file.path, [*features], [*filter(IMAGE_COLUMN.fullmatch, features)], ())
            readers.append(functools.partial(_read_record, file.path, start, size, image))
            values = _values(features[label]) if label else []
            labels.append(values[0] if len(values) == 1 else values)
            opened.seek(start + size + 4)
        # As TensorFlow Datasets names classes.
        names = os.path.join(os.path.dirname(file.path), f"{label}.labels.txt")
        if os.path.isfile(names):
            with open(names, encoding="utf-8") as opened:
                labels = _named(labels, opened.read(MOST_BYTES).splitlines())
    labels = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value
              for value in labels]
    return readers, labels, f"images: {image}, labels: {label or 'none'}"


def _read_record(path, start, size, image, most):
    with open(path, "rb") as opened:
        content = _values(_parse_example(opened, start, size)[image])
    return content[0][:most] if content else b""


def _parse_example(opened, start, size):
    import tensorflow as tf

    opened.seek(start)
    return tf.train.Example.FromString(opened.read(size)).features.feature


def _values(feature):
    kind = feature.WhichOneof("kind")
    return [*getattr(feature, kind).value] if kind else []
