"""A run whose disk fails, whose files are damaged, whose folder is taken."""

import contextlib
import dataclasses
import errno
import fcntl
import io
import json
import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from gan.common import files
from gan.common.errors import UserError
from gan.common.files import read_archive, read_json, write_archive
from gan.run.checkpoint import Checkpoint, differences, environment, load_checkpoint, load_newest
from gan.run.folder import LOCK, RunFolder
from gan.run.options import parse_options, resumed
from tests.conftest import ROOT, TINY, assert_error, build, complete
from tests.test_array_files import Bomb


def checkpoint(step):
    return Checkpoint(step, {}, "x", {}, {"w": np.full(100, step)}, {})


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "text"])
def test_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage):
    for step in (1, 2):
        checkpoint(step).save(RunFolder(tmp_path))
    newest = tmp_path / "checkpoints/step_000000002.npz"
    content, warnings = bytearray(newest.read_bytes()), []
    content[len(content) // 2] ^= 4
    newest.unlink()
    if damage != "gone":
        newest.write_bytes({"flip": content, "cut": content[:300], "empty": b"",
                            "text": b"hello"}[damage])
    found = load_newest(tmp_path / "checkpoints", warnings.append)
    assert found.step == 1 and (found.variables["w"] == 1).all()
    assert len(warnings) == (damage != "gone")


def test_every_flipped_bit_of_an_archive_is_noticed(tmp_path):
    path, numbers = tmp_path / "a.npz", np.arange(8.0)
    write_archive(path, {"w": numbers}, {"step": 3})
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        # A name or a date in the directory may change without harm to the content.
        with contextlib.suppress(UserError):
            found, description = read_archive(path, "numbers")
            assert description == {"step": 3} and (found.get("w", numbers) == numbers).all()
    write_archive(path, {"w": np.arange(8000.0)}, {})
    path.write_bytes(path.read_bytes().replace(b"(8000,)", b"(8,)   "))  # the rest stays unread
    assert_error("a.npz", read_archive, path, "numbers")


@pytest.mark.parametrize(("compression", "expected"), [
    (zipfile.ZIP_STORED, "Object arrays cannot be loaded"), (zipfile.ZIP_DEFLATED, "compressed")])
def test_pickled_and_compressed_arrays_are_refused(tmp_path, compression, expected):
    path = tmp_path / "step_000000001.npz"
    member = io.BytesIO()
    np.save(member, np.array([Bomb()], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("about.json", json.dumps({"format": 1}))
        archive.writestr("w.npy", member.getvalue())
    assert_error(f"expected a checkpoint, got a damaged.*{expected}", load_checkpoint, path)


@pytest.mark.parametrize("text", [
    "[]", "NaN", '{"a": Infinity}', '{"a": 1e999}', "{",
    "[" * 100_000, '{"a": "\x00"}', "\xff"])
def test_what_json_can_hold_and_no_run_writes_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    assert_error("a.json: expected a summary, got a damaged file", read_json, path, "a summary")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_files_and_folders_are_flushed_before_and_after_they_are_renamed(tmp_path, monkeypatch):
    events, fsync, replace, rename = [], os.fsync, os.replace, os.rename

    def note(handle):
        events.append(("flushed", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    for name, function in (("replace", replace), ("rename", rename)):
        monkeypatch.setattr(os, name, lambda old, new, function=function: (
            events.append(("renamed", os.path.basename(new))), function(old, new)))
    files.write_text(tmp_path / "new" / "a.txt", "text")
    assert events[0] == ("flushed", tmp_path.name)  # in which "new" was made
    assert events[1][1].startswith(".gan-partial-")
    assert events[2:] == [("renamed", "a.txt"), ("flushed", "new")]
    events.clear()
    with files.atomic_folder(tmp_path / "export") as temporary:
        (temporary / "variables").mkdir()
        (temporary / "variables/data").write_text("x")
    flushed, after = events[: events.index(("renamed", "export"))], events[-1]
    assert {"variables", "data"} <= {name for _, name in flushed}
    assert after == ("flushed", tmp_path.name)


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_failing_write_leaves_the_old_file_and_no_leftover(tmp_path, call):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(os, call, side_effect=full):
        assert_error("cannot write .*a.txt: No space left on device", files.write_text, path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    path, error = tmp_path / "export", OSError(errno.EIO, os.strerror(errno.EIO))
    for text in ("old", "new"):
        with files.atomic_folder(path) as temporary:
            (temporary / "a").write_text(text)
            assert not path.exists() or (path / "a").read_text() == "old"
    with pytest.raises(UserError, match="cannot write .*export"), files.atomic_folder(path):
        raise error
    effects = [mock.DEFAULT, error, mock.DEFAULT]  # aside, in its place, back
    with mock.patch.object(os, "rename", wraps=os.rename, side_effect=effects), \
            pytest.raises(UserError, match="cannot write .*export"), files.atomic_folder(path):
        pass
    assert (path / "a").read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_lock_is_told_with_its_process_and_taken_over_from_the_dead(tmp_path):
    code = (f"import sys; from gan.run.folder import RunFolder\n"
            f"lock = RunFolder({str(tmp_path)!r}).locked(); lock.__enter__()\n"
            f"print(flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        folder = RunFolder(tmp_path)
        assert folder.in_training()
        assert_error(f"process {other.pid} is training there", folder.locked().__enter__)
        other.kill()
    assert (tmp_path / LOCK).exists() and not folder.in_training()
    with folder.locked():
        assert (tmp_path / LOCK).read_text() == str(os.getpid()) and not folder.in_training()
        assert_error(f"process {os.getpid()} is", folder.locked().__enter__)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("kind", ["notes", "FIFO", "folder", "link", "broken link", "second name"])
def test_what_lies_in_the_place_of_the_lock_stays(tmp_path, kind):
    elsewhere, run = tmp_path / "counter", tmp_path / "run"
    lock = run / LOCK
    run.mkdir()
    if kind != "broken link":
        elsewhere.write_text("20260101")  # as a process number would be
    {"notes": lambda: lock.write_text("notes"), "FIFO": lambda: os.mkfifo(lock),
     "folder": lock.mkdir, "second name": lambda: os.link(elsewhere, lock)}.get(
        kind, lambda: lock.symlink_to(elsewhere))()
    before = lock.lstat()
    assert_error("did not write this", RunFolder(run).locked().__enter__)
    assert not RunFolder(run).in_training() and list(run.iterdir()) == [lock]
    assert (lock.lstat().st_ino, lock.lstat().st_mtime) == (before.st_ino, before.st_mtime)
    assert not elsewhere.exists() if kind == "broken link" else elsewhere.read_text() == "20260101"


def test_a_checkpoint_tells_what_is_different_where_it_is_read(tensorflow, tmp_path):
    saved = dataclasses.replace(checkpoint(3), environment=environment())
    saved.save(RunFolder(tmp_path))
    saved = load_newest(tmp_path / "checkpoints", pytest.fail)
    config = SimpleNamespace(devices=2)
    assert differences(saved, SimpleNamespace(devices=None)) == ""
    other = saved.environment | {"processor": "another", "TF_ENABLE_ONEDNN_OPTS": "0"}
    other.pop("TensorFlow")
    text = differences(dataclasses.replace(saved, version="0.1", environment=other), config)
    assert "processor another then" in text and "TF_ENABLE_ONEDNN_OPTS 0 then" in text
    assert "devices None then, 2 now" in text and "this project 0.1 then" in text
    assert "TensorFlow not set then" in text


def test_file_system_without_locks_is_told(tmp_path, capsys):
    no_locks = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    with mock.patch.object(fcntl, "flock", side_effect=no_locks), RunFolder(tmp_path).locked():
        assert "a file system without locks" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [
    ("epochs", "6"), ("epochs", 0), ("epochs", None), ("clusters", None),
    ("batch_size", None), ("loss", "none"), ("lr", None), ("lr", True), ("seed", 1.5),
    ("resume", 1), ("dataset", ["mnist"]), ("beta1", {}), ("image_size", 5)])
def test_saved_options_are_checked_like_given_ones(name, value):
    config, given = parse_options([])
    config = complete(config, (60_000, 28, 28, 1))
    saved = dataclasses.asdict(config)
    assert resumed(config, given, saved) == (config, {})
    assert_error(f"{name}: expected ", resumed, config, given, saved | {name: value})
    assert_error("other: expected an option", resumed, config, given, saved | {"other": 1})


def test_float16_that_cannot_go_on_is_reported_and_the_last_state_kept(command, tiny_npz, tmp_path):
    code, _, errors = command(
        "train_gan.py", "--dataset", tiny_npz, *TINY, "--mixed-precision", "float16", "--epochs",
        40, "--lr", 1, "--loss", "lsgan", "--gp-weight", 1000, "--arch", "mlp")
    (line,) = errors.splitlines()
    assert code == 1 and "stopped, the last checkpoint is kept; diverged: " in line
    load_newest(tmp_path / "checkpoints", pytest.fail)


@pytest.mark.slow
def test_large_float32_networks_train(tensorflow, mnist):
    """TensorFlow's memory optimizer once stopped a step of more than 200 MB."""
    trainer = build(mnist, "--batch-size", 256, "--base-channels", 32, "--condition", "none")
    batches = trainer.feed.epoch_batches(1)
    for part in (batches[:3], batches[3:6]):  # it failed in the second call
        assert np.isfinite(trainer.train(part)).all()
