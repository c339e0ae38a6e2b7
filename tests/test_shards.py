"""Data sets in shards: written, checked, read in an order that knows no number of processes."""

import hashlib
import itertools
import json
import os
import pickle
import shutil

import numpy as np
import pytest

from gan.data.conditions import condition_dataset, condition_images, normal_quantiles, sample_of
from gan.data.datasets import Dataset, load_dataset
from gan.data.order import BlockOrder, BlockReader
from gan.data.shards import check_shards, save_array, write_index, write_shards
from gan.evaluate.features import extractor_for
from tests.conftest import assert_error, assert_refused, build, draw_shapes, noise
from tests.test_array_files import Bomb
from tests.test_pictures import write
from tests.test_training import restore, values

SHARD = 20_000  # bytes: 78 images of 16 pixels


@pytest.fixture(scope="module")
def shapes(tiny_npz):
    return load_dataset(str(tiny_npz))


@pytest.fixture(scope="module")
def sharded(shapes, tmp_path_factory):
    """A folder of five shards with 320 labelled images and 64 test images."""
    target = tmp_path_factory.mktemp("shards") / "shapes"
    write_shards(shapes, target, SHARD, 0, "labels", 2, 8)
    return target


@pytest.fixture
def copy(sharded, tmp_path):
    """Shards that a test may damage."""
    return shutil.copytree(sharded, tmp_path / "copy")


def rows(images):
    return sorted(image.tobytes() for image in images)


def write_plain(folder, images, labels=None, shard_bytes=SHARD):
    """Write images in the order that they have, as another program would."""
    folder.mkdir()
    size, entries = max(1, shard_bytes // images[0].nbytes), []
    for number, start in enumerate(range(0, len(images), size)):
        part = images[start : start + size]
        entries.append(save_array(folder / f"{number}.npy", part) | {"count": len(part)})
    index = {"format": "gan shards", "version": 2, "name": folder.name, "dtype": "uint8",
             "shape": images.shape[1:], "count": len(images), "shards": entries, "class_names": []}
    if labels is not None:
        index["class_names"] = [str(number) for number in range(labels.max() + 1)]
        index["labels"] = save_array(folder / "labels.npy", labels.astype(np.int32))
    write_index(folder, index)
    return load_dataset(str(folder))


# What is written, and in which order.


def test_shards_hold_what_was_written_in_the_order_of_a_seed(shapes, sharded, tmp_path):
    found = load_dataset(str(sharded))
    assert found.images.shape == (320, 16, 16, 1) and found.class_names == ("0", "1")
    images = found.images[:]
    assert rows(images) == rows(shapes.images) and (images != shapes.images).any()
    label_of = {image.tobytes(): label
                for image, label in zip(shapes.images, shapes.labels, strict=True)}
    assert [label_of[image.tobytes()] for image in images] == found.labels.tolist()
    np.testing.assert_array_equal(found.test_images, shapes.test_images)
    np.testing.assert_array_equal(found.test_labels, shapes.test_labels)
    assert [shard["count"] for shard in found.index["shards"]] == [64] * 5
    assert found.original == shapes.fingerprint and found.streamed
    # The index says what NumPy and SHA-256 find.
    lines = ["[320, 16, 16, 1]"]
    for entry in [*found.index["shards"], found.index["labels"]]:
        content = (sharded / entry["file"]).read_bytes()
        lines.append(hashlib.sha256(content).hexdigest())
        assert (entry["bytes"], entry["sha256"]) == (len(content), lines[-1])
    np.testing.assert_array_equal(np.load(sharded / found.index["shards"][0]["file"]), images[:64])
    assert found.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    for seed in (0, 1):
        write_shards(shapes, tmp_path / str(seed), SHARD, seed, "labels", 2, 8)
        index = load_dataset(str(tmp_path / str(seed))).index
        assert (index == found.index) == (index["fingerprint"] == found.fingerprint) == (seed == 0)


def test_images_are_read_by_slice_and_by_index_across_shards(tmp_path):
    images = noise(200, channels=3)
    found = write_plain(tmp_path / "plain", images).images
    assert found.nbytes == images.nbytes and len(found) == 200
    for part in (slice(0, 5), slice(20, 60), slice(190, None), slice(7, 7), slice(None)):
        np.testing.assert_array_equal(found[part], images[part])
    chosen = np.array([199, 0, 26, 25, 26, 130])
    np.testing.assert_array_equal(found[chosen], images[chosen])


def test_pictures_and_shards_themselves_become_shards(succeed, refused, sharded, tmp_path):
    photos, two = tmp_path / "photos", tmp_path / "two"
    for number in range(70):
        write(photos / f"{number:03d}.png", np.full((20, 20), number, np.uint8))
    assert "70 images of 20 x 16 x 1 in 1 shard of 0.0 MB" in succeed(
        "gan.shards", photos, tmp_path / "one", "--image-size", "20x16")
    assert sorted(load_dataset(str(tmp_path / "one")).images[:][:, 0, 0, 0]) == list(range(70))
    assert "--range: expected a --dataset of arrays" in refused(
        "gan.shards", sharded, two, "--range", "0,99")
    assert "conditions: not stored" in succeed("gan.shards", sharded, two, "--condition", "none")
    assert rows(load_dataset(str(two)).images[:]) == rows(load_dataset(str(sharded)).images[:])


@pytest.mark.parametrize(("count", "block"), [(640, 3), (703, 4), (5000, 7), (130, 100)])
def test_nearly_every_sample_comes_once(count, block):
    order = BlockOrder(count, 16, 5, block)
    for epoch in (1, 2):
        flat = order.batches(epoch).ravel()
        assert (1 - 1 / block) * (count - 80) < len(flat) == len(np.unique(flat))
        assert flat.min() >= 0 and flat.max() < count
    assert (order.batches(1) != order.batches(2)).any()
    np.testing.assert_array_equal(order.batches(2), BlockOrder(count, 16, 5, block).batches(2))
    assert (order.batches(1) != BlockOrder(count, 16, 6, block).batches(1)).any()
    assert set(order.batches(1).ravel()) != set(flat) or len(flat) == count  # another rest
    assert np.mean(np.abs(np.diff(flat)) == 1) < 0.02  # neighbors in the data are none here
    assert_error("--batch-size: expected at most .*got: 10000", BlockOrder, count, 10_000, 5, block)


@pytest.mark.parametrize("processes", [1, 8])
def test_each_process_reads_its_own_part_of_one_order(tmp_path, processes, monkeypatch):
    images = noise(1500)
    found = write_plain(tmp_path / "plain", images).images
    order, seen = BlockOrder(1500, 16, 3, 2), np.zeros(1500, int)
    whole = np.concatenate([images[batch] for epoch in (1, 2) for batch in order.batches(epoch)])
    reading, read, pieces = type(found).read_into, [], []

    def note_and_read(images, start, target):
        read.append(np.arange(start, start + len(target)))
        return reading(images, start, target)

    monkeypatch.setattr(type(found), "read_into", note_and_read)
    for index in range(processes):
        reader = BlockReader(found, order, index, processes)
        pieces.append([])
        for epoch, batch in itertools.product((1, 2), range(order.steps)):
            pieces[-1].append(reader.read(order.batches(epoch)[batch, index::processes], epoch))
        reader._pool.shutdown()  # waits for what is read ahead
        assert reader._begun.cache_info().currsize == 2 and order.group == 4 * 64 * 2
        assert 1.9 * len(read) < sum(map(len, read)) <= 3 * 1500 / processes  # in blocks
        for samples in read:
            seen[samples] += 1
        read.clear()
    together = np.stack(list(map(np.stack, pieces)), axis=2).reshape(whole.shape)
    np.testing.assert_array_equal(together, whole)
    assert seen.max() <= 3  # two epochs, and the beginning of the third that is read ahead


# Conditions, measures and training.


def test_conditions_are_stored_and_keep_to_the_labels(sharded, capsys):
    found = load_dataset(str(sharded))
    stored = condition_dataset(found, "labels", 2, 99, 1)  # the seed is that of writing
    assert stored.kind == "labels" and stored.count == 4 and stored.coordinates.shape[1] == 1
    assert condition_dataset(found, "labels", 2, 99, 0).coordinates.shape[1] == 0
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(stored.class_of[stored.cluster_labels], found.labels)
    expected = condition_dataset(found.sample, "labels", 2, 0, 8)
    np.testing.assert_array_equal(stored.cluster_labels, expected.cluster_labels)
    np.testing.assert_array_equal(stored.coordinates, expected.coordinates)
    assert condition_dataset(found, "none", 0, 0).count == 1


@pytest.mark.parametrize(("kind", "clusters", "components", "count"), [
    ("clusters", 3, 0, 3), ("labels", 2, 9, 4)])  # more coordinates than the shards hold
def test_conditions_not_stored_are_found(sharded, capsys, kind, clusters, components, count):
    other = condition_dataset(load_dataset(str(sharded)), kind, clusters, 0, components)
    assert (other.kind, other.count) == (kind, count)
    assert "no such conditions were stored" in capsys.readouterr().out


@pytest.fixture
def small_sample(monkeypatch):
    monkeypatch.setattr("gan.data.conditions.MOST_IMAGES", 100)
    monkeypatch.setattr("gan.data.conditions.SAMPLE_BLOCK", 10)


def test_a_sample_is_of_neighbors_from_everywhere(small_sample):
    sample = sample_of(range(1000))
    assert len(set(sample.tolist())) == 100 and sample[0] == 0 and sample[-1] == 999
    assert (np.diff(sample.reshape(10, 10), axis=1) == 1).all()
    assert sample_of(range(100)).tolist() == list(range(100))
    assert sorted(set(sample_of(range(101)).tolist())) == sample_of(range(101)).tolist()


@pytest.mark.parametrize("kind", ["labels", "clusters"])
def test_conditions_of_memory_and_shards_agree(tmp_path, small_sample, shapes, kind, monkeypatch):
    monkeypatch.setattr("gan.data.conditions.IMAGES_PER_COORDINATE", 20)
    found = write_plain(tmp_path / "plain", shapes.images, shapes.labels)
    in_memory = condition_dataset(shapes, kind, 4, 0, 3)
    in_shards = condition_dataset(found, kind, 4, 0, 3)
    np.testing.assert_equal(in_shards.to_arrays(), in_memory.to_arrays())
    # Fitted to a hundred images, and yet about normal for all.
    values = normal_quantiles()[in_shards.coordinates]
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.3)
    assert 0.8 < values.var() < 2.5


def bars(count):
    """Bars that lie across (kind 0) or upright (kind 1): images, kinds."""
    kinds = np.random.default_rng(0).integers(0, 2, count)
    images = np.zeros((count, 16, 16, 1), np.uint8)
    images[kinds == 0, 6:10] = 200
    images[kinds == 1, :, 6:10] = 200
    return images, kinds


def test_images_outside_of_the_sample_go_to_the_nearest_cluster_or_a_new_one(small_sample):
    images, kinds = bars(300)
    conditions = condition_images(images, None, 2, 0, 0)
    assert conditions.count == 2
    same = conditions.cluster_labels == kinds
    assert same.all() or not same.any()  # the two kinds, numbered either way
    np.testing.assert_allclose(conditions.probabilities,
                               np.bincount(conditions.cluster_labels) / 300, rtol=1e-6)
    kinds[np.setdiff1d(np.arange(300), sample_of(images))[:5]] = 2  # a class that it lacks
    conditions = condition_images(images, kinds, 1, 0, 0)
    assert conditions.class_of.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(conditions.class_of[conditions.cluster_labels], kinds)


def test_what_is_measured_with_is_a_sample_of_fixed_size(tmp_path, monkeypatch):
    monkeypatch.setattr("gan.data.datasets.SAMPLE_IMAGES", 100)
    images, kinds = bars(300)
    sample = write_plain(tmp_path / "plain", images, kinds).sample
    assert type(sample) is Dataset and sample.original is None
    np.testing.assert_array_equal(sample.images, images[:100])
    np.testing.assert_array_equal(sample.labels, kinds[:100])


def test_shards_of_mnist_are_measured_with_the_classifier_of_mnist(tmp_path, mnist):
    write_shards(mnist, tmp_path / "mnist")
    found = load_dataset(str(tmp_path / "mnist"))
    assert found.name == "mnist" and found.fingerprint != mnist.fingerprint
    assert extractor_for(found.sample).kind == "classifier"
    few = Dataset("mnist", mnist.images[:100], mnist.labels[:100], mnist.class_names)
    assert extractor_for(few).kind == "pixels"


def test_held_streamed_and_resumed_in_an_epoch_are_one_run(sharded):
    held, first, second = (build(sharded, "--clusters", 2, "--arch", "mlp", streamed=streamed)
                           for streamed in (False, True, True))
    expected = [held.train(held.feed.epoch_batches(epoch)) for epoch in (1, 2)]
    found = [first.train(first.feed.epoch_batches(1)), first.train(first.feed.epoch_batches(2)[:7])]
    restore(second, values(first))
    found.append(second.train(second.feed.epoch_batches(2)[7:]))
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
    np.testing.assert_equal(values(second), values(held))


# What goes wrong.


def test_a_file_that_is_damaged_cut_off_or_missing_is_one_line(succeed, refused, copy):
    succeed("gan.shards", "--check", copy)
    path = copy / "images-00003.npy"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert "1 of 9 files are damaged, as their checksums say: images-00003.npy" in refused(
        "gan.shards", "--check", copy)
    load_dataset(str(copy))  # what is cheap to check is right
    path = copy / "labels.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert_refused(copy, f"labels.npy: expected {len(content)} bytes as shards")
    path.unlink()
    assert_refused(copy, "labels.npy: expected .* got: no file")


@pytest.mark.parametrize(("part", "array"), [
    ("labels", np.int32(3)), ("test_images", np.zeros((0, 16, 16, 1), np.uint8))])
def test_an_array_of_another_shape_is_named(copy, part, array):
    index = json.loads((copy / "shards.json").read_text())
    write_index(copy, index | {part: save_array(copy / f"{part}.npy", array)})
    assert_refused(copy, f"{part}.npy: expected (u)?int")


def change(**values):
    return lambda index: json.dumps(index | values)


@pytest.mark.parametrize(("damage", "expected"), [
    (lambda index: "{", "expected the index of shards"),
    (lambda index: "[]", "expected the index of shards"),
    *[(change(**{key: value}), "expected the index of gan shards, version 2") for key, value in [
        ("version", 1), ("count", 321), ("count", 320.0), ("shape", [16, 20, 1]), ("shape", 16),
        ("shards", [{}]), ("dtype", "float32"), ("class_names", []), ("name", 5), ("source", 5),
        ("fingerprint", "0" * 16)]],
    *[(lambda index, name=name: json.dumps(index).replace("images-00001", name),
       "expected the index of gan shards") for name in ("../images", "images-00000")]])
def test_a_wrong_index_is_one_line(copy, damage, expected):
    path = copy / "shards.json"
    path.write_text(damage(json.loads(path.read_text())))
    assert_refused(copy, f"shards.json: {expected}")


@pytest.mark.parametrize("name", ["labels.npy", "images-00000.npy", "conditions.npz"])
def test_nothing_in_shards_is_unpickled(copy, monkeypatch, name):
    index = json.loads((copy / "shards.json").read_text())
    content = pickle.dumps(Bomb())
    (copy / name).write_bytes(content)
    for entry in (*index["shards"], index["labels"], index["conditions"]):
        if entry["file"] == name:
            entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    monkeypatch.setattr("gan.data.shards._is_whole", lambda index: True)
    (copy / "shards.json").write_text(json.dumps(index))
    assert_error(f"{name}: expected", check_shards, copy)


def test_files_of_others_are_never_replaced(succeed, refused, tiny_npz, copy, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    assert "expected --force" in refused("gan.shards", tiny_npz, copy)
    for folder, expected in ((mine, "expected nothing, an empty folder or shards there"),
                             (copy, "notes.txt: not written by gan.shards")):
        (folder / "notes.txt").write_text("x")
        assert expected in refused("gan.shards", tiny_npz, folder, "--force")
        assert (folder / "notes.txt").read_text() == "x"
    (copy / "notes.txt").unlink()
    succeed("gan.shards", tiny_npz, copy, "--force", "--seed", 3, "--condition", "none")
    assert check_shards(copy)["source"]["seed"] == 3


def test_what_comes_into_the_way_while_shards_are_written_stays(shapes, tmp_path, monkeypatch):
    def come_between(folder, index):
        (tmp_path / "shards").mkdir()
        (tmp_path / "shards" / "thesis.txt").write_text("x")
        write_index(folder, index)

    monkeypatch.setattr("gan.data.shards.write_index", come_between)
    assert_error("expected nothing, an empty folder or shards there",
                 write_shards, shapes, tmp_path / "shards")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["thesis.txt"]


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], "expected SOURCE and TARGET"), (["mnist"], "expected SOURCE and TARGET"),
    (["ring", "a"], "expected images, got the points of ring"),
    (["nothing", "a"], "--dataset: expected mnist"),
    (["--check", "nothing"], "nothing/shards.json: No such file"),
    (["--check", "a", "b"], "expected one folder and nothing else"),
    (["mnist", "a", "--image-size", "20"], "--image-size: expected a --dataset folder of pictures"),
    (["mnist", "a", "--shard-size", "0"], "--shard-size: expected a number from 0.001")])
def test_wrong_input_is_one_line(refused, tmp_path, arguments, expected):
    assert expected in refused("gan.shards", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_too_few_images_are_refused(tmp_path):
    few = Dataset("few", draw_shapes(63, 0)[0][..., None])
    assert_error("expected at least 64 images, .* got: 63", write_shards, few, tmp_path / "few")
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_goes_while_training_is_a_line(copy):
    trainer = build(copy, "--arch", "mlp", streamed=True)
    os.truncate(copy / "images-00002.npy", 100)  # it is open: unlinked, it would be there still
    assert_error("images-00002.npy: expected more images, .* was cut off",
                 trainer.train, trainer.feed.epoch_batches(1))
