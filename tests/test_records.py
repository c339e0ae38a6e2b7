"""Pictures and labels in TFRecord and Parquet files."""

import io
import json
import struct
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan.data.datasets import load_dataset
from tests.conftest import assert_refused
from tests.test_pictures import shades


def png(shade, side=16):
    buffer = io.BytesIO()
    Image.new("L", (side, side), shade).save(buffer, "PNG")
    return buffer.getvalue()


def write_tfrecord(path, rows):
    """Write rows, dict of feature → value, as TensorFlow does."""
    def feature(value):
        values = [part.encode() if isinstance(part, str) else part
                  for part in (value if isinstance(value, list) else [value])]
        kind = {bytes: "bytes_list", float: "float_list"}.get(type(values[0]), "int64_list")
        return tf.train.Feature(**{kind: {"value": values}})

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            features = {name: feature(value) for name, value in row.items() if value is not None}
            writer.write(tf.train.Example(
                features=tf.train.Features(feature=features)).SerializeToString())


def write_parquet(path, rows, names=None):
    """Write rows, dict of column → value, as Hugging Face does."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows)
    features = {"img": {"_type": "Image"}}
    if names:
        features["label"] = {"_type": "ClassLabel", "names": names}
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=3)


WRITERS = {"tfrecord": write_tfrecord, "parquet": write_parquet}


@pytest.fixture(params=WRITERS)
def kind(request):
    return request.param


@pytest.mark.parametrize(("labels", "classes", "numbers"), [
    ([10, 2, 10, 2, 2], ("2", "10"), [1, 0, 1, 0, 0]),
    (["b", "a", "b", "a", "a"], ("a", "b"), [1, 0, 1, 0, 0]),
    ([[0, 1], [1, 0], [0, 1], [1, 0], [1, 0]], ("0", "1"), [1, 0, 1, 0, 0]),
    ([1, 0, 1, 0, None], ("0", "1"), [1, 0, 1, 0]), ([None] * 5, (), None), ([-1] * 5, (), None),
    ([7] * 5, (), None)])
def test_pictures_and_labels(folder, kind, labels, classes, numbers, capsys):
    WRITERS[kind](folder / f"a.{kind}", [{"image": png(20 * place), "label": label, "width": 16}
                                         for place, label in enumerate(labels)])
    for _ in range(2):  # the second time from the cache
        data = load_dataset(str(folder / f"a.{kind}"))
        assert data.name == "a" and data.class_names == classes
        assert numbers is None or data.labels.tolist() == numbers
        assert shades(data.images) == [0, 20, 40, 60, 80][: len(data.images)]
        printed = capsys.readouterr()
        assert "images: image, labels: " in printed.out
        assert ("1 of 5 pictures have no label" in printed.err) == (len(data.images) == 4)
    assert load_dataset(str(folder), image_size=20, channels=3).images.shape[1:] == (20, 20, 3)


def test_files_of_a_published_set(folder, kind, capsys):
    for name, shade in (("train-00000-of-00002", 0), ("train-00001-of-00002", 50),
                        ("validation-00000-of-00001", 100), ("test-00000-of-00001", 150)):
        label = -1 if name.startswith("test") else 1
        WRITERS[kind](folder / "data" / f"{name}.{kind}", [
            {"image": png(shade + number), "label": label and number % 2 if label == 1 else -1}
            for number in range(4)])
    (folder / "README.md").write_text("")
    data = load_dataset(str(folder))
    assert shades(data.images) == [0, 1, 2, 3, 50, 51, 52, 53]
    assert data.labels.tolist() == [0, 1] * 4
    assert sorted(shades(data.test_images)) == [150, 151, 152, 153] and data.test_labels is None
    assert f"data/validation-00000-of-00001.{kind}: not used" in capsys.readouterr().out
    (folder / "data" / f"test-00000-of-00001.{kind}").unlink()
    data = load_dataset(str(folder))
    assert (data.test_labels == np.array(shades(data.test_images)) % 2).all()


@pytest.mark.parametrize("features", [
    ("image/encoded", "image/class/label", "image/class/text"), ("image", "label")])
def test_names_of_tfrecord_files_features_and_classes(folder, features):
    names = ["ship", "airplane"]
    rows = [(png(9 * number), number % 2, names[number % 2]) for number in range(4)]
    write_tfrecord(folder / "cifar10-train.tfrecord-00000-of-00001",
                   [dict(zip(features, row, strict=False)) for row in rows])
    if len(features) == 2:  # as TensorFlow Datasets writes them
        (folder / "label.labels.txt").write_text("\n".join(names))
    data = load_dataset(str(folder))
    assert shades(data.images) == [0, 9, 18, 27]
    assert data.class_names == ("airplane", "ship") and data.labels.tolist() == [1, 0, 1, 0]


def test_columns_and_class_names_as_hugging_face_publishes_them(folder):
    rows = [{"img": {"bytes": png(number), "path": f"{number}.png"}, "label": number % 2,
             "caption": "x"} for number in range(8)]
    write_parquet(folder / "a.parquet", rows, ["ship", "airplane"])
    data = load_dataset(str(folder))
    assert shades(data.images) == [*range(8)] and data.class_names == ("airplane", "ship")
    assert data.labels.tolist() == [1, 0] * 4
    rows[0]["img"]["bytes"] = None
    write_parquet(folder / "a.parquet", rows)
    assert_refused(folder, "a.parquet/0 .the file holds its path, but not its bytes")


@pytest.mark.parametrize(("row", "expected"), [
    ({"picture_of": png(1)}, "expected a column image of PNG or JPEG bytes, got: picture_of"),
    ({"image": bytes(256), "label": 1}, "5 of 5 pictures cannot be used: a.*broken: not PNG"),
    ({"image": png(1), "label": [1, 1]}, "got several .at a.*; write one into a column called"),
    ({"image": png(1), "label": 0.5}, "got numbers such as 0.5"),
    ({"image": png(1, 6)}, "6 x 6 pixels, expected at least")])
def test_what_cannot_be_used_is_said(folder, kind, row, expected):
    WRITERS[kind](folder / f"a.{kind}", [row] * 5)
    assert_refused(folder, expected)


def test_damaged_files_are_named_and_not_trusted(folder, kind):
    path = folder / f"a.{kind}"
    WRITERS[kind](path, [{"image": png(number)} for number in range(4)])
    whole = path.read_bytes()
    too_long = struct.pack("<Q", 2**62) + whole[8:]
    for content in (whole[:-9], whole[:40], b"\x1f\x8b" + bytes(60), too_long, b""):
        path.write_bytes(content)
        assert_refused(path, f"a.{kind}.*(a damaged file|broken:|without rows)")


def test_parquet_files_that_cannot_be_used_are_refused(folder, monkeypatch):
    path = folder / "a.parquet"
    path.write_bytes(b"PAR1")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyarrow", None)
        assert_refused(path, "expected the package pyarrow, .*pip install pyarrow")
    (folder / "b.png").write_bytes(png(0))
    assert_refused(folder, "got both: b.png and a.parquet; move one of them away")
    write_parquet(path, [{"image": png(1), "label": 0}] * 2000)
    monkeypatch.setattr("gan.data.arrays.memory_bytes", lambda: 10**5)
    assert_refused(path, "MiB of arrays together")  # it promises more rows than fit
