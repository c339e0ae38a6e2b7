"""Files that this project did not write are never replaced or removed."""

import contextlib
import os
import re
import shutil
from unittest import mock

import pytest

from gan.common.errors import UserError
from gan.run.folder import MANIFEST, RunFolder, claimed, is_listed
from tests.conftest import QUICK, TINY, assert_error
from tests.test_faults import checkpoint

FOREIGN = ["checkpoints/step_000001000.npz", "checkpoints/best.npz",
           "exported_model/saved_model.pb", "exported_model/assets.extra/gan.json",
           "exported_model/thesis.txt", "tensorboard/events.out.tfevents.1.gan", "config.json",
           "history.csv", "summary.json", "loss_curves.png", "generated_images/epoch_0001.png",
           "generated_images/real_samples.png", "report.html",
           "generated_images/epoch_0000_step_000000004.png"]
UNTOUCHED = ["training.gif", ".partial-thesis", ".gan-partial-notes", "checkpoints.txt",
             "checkpoints/my_resnet.pt", "tensorboard/events.mine", "notes/epoch_0001.png",
             "generated_images/holiday.png", "generated_images/epoch_final.png"]
SUBFOLDERS = ["generated_images", "checkpoints", "tensorboard", "exported_model"]
REFUSED = "{}: train_gan.py did not write this"


def write(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"theirs": 1}')


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def list_in(folder, *names):
    with open(folder / MANIFEST, "a") as file:
        file.writelines(f"{name}\n" for name in names)


@pytest.fixture
def copied(run):
    """A copy of a finished run, and a folder of somebody else's files beside it."""
    elsewhere = run.with_name("elsewhere")
    for name in ("epoch_0001.png", "notes.txt", "step_000000001.npz"):
        write(elsewhere, name)
    return run, elsewhere


@pytest.mark.parametrize(("name", "kind"), [
    *[(name, kind) for name in FOREIGN + SUBFOLDERS
      for kind in ("file", "link", "nowhere", "loop")],
    *[(name, "folder") for name in FOREIGN if "exported_model" not in name]])
def test_a_foreign_file_in_the_way_is_named(tmp_path, name, kind):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    {"file": lambda: write(tmp_path, name), "folder": path.mkdir,
     "link": lambda: path.symlink_to("/dev/null"),
     "nowhere": lambda: path.symlink_to(tmp_path / "gone"),
     "loop": lambda: path.symlink_to(path)}[kind]()
    assert_error(REFUSED.format(name), RunFolder(tmp_path).check)


@pytest.mark.parametrize(("script", "arguments"), [
    ("train_gan.py", ["--dataset", "ring"]), ("train_gan.py", ["--overwrite", "--dataset", "ring"]),
    ("train_gan.py", ["--resume"]), ("generate.py", ["--model", "MODEL"]),
    ("make_gif.py", []), ("make_gif.py", ["--output", "generated_images/epoch_0001.png"])])
def test_every_script_leaves_foreign_files(refused, tiny_run, tmp_path, script, arguments):
    for name in [*FOREIGN, *UNTOUCHED, "generated/seed_000000.png"]:
        write(tmp_path, name)
    before = contents(tmp_path)
    line = refused(script, *[tiny_run if word == "MODEL" else word for word in arguments])
    assert re.search("exists; expected --force|did not write this", line)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("script", "arguments", "name"), [
    ("generate.py", "--model RUN --output x/a.png", "a.png"),
    ("generate.py", "--model RUN --output x/a.npz", "a.npz"),
    ("generate.py", "--model RUN --output x/a.gif --interpolate 0,1", "a.gif"),
    ("generate.py", "--model RUN --outdir x --seeds 5", "seed_000005.png"),
    ("make_gif.py", "--images RUN --output x/a.gif", "a.gif"),
    ("gan.convert", "--model RUN --to litert --output x/a.tflite", "a.tflite"),
    ("gan.playground.__main__", "--model RUN --output x/a.html", "a.html"),
    ("gan.report.__main__", "RUN --output x/a.html", "a.html"),
    ("gan.evaluate.__main__", "--model RUN --json x/a.json", "a.json"),
    ("gan.evaluate.__main__", "--model RUN --neighbors x/a.png", "a.png"),
    ("gan.project", "--model RUN --output x/a.png a.png", "a.png"),
    ("gan.project", "--model RUN --output x/a.png a.png", "a.npz")])
@pytest.mark.parametrize("kind", ["file", "folder", "broken link", "FIFO"])
def test_what_lies_at_an_output_stays(refused, tiny_run, tmp_path, script, arguments, name, kind):
    path = tmp_path / "x" / name
    path.parent.mkdir()
    {"file": lambda: path.write_text("mine"), "folder": path.mkdir,
     "broken link": lambda: path.symlink_to(tmp_path / "elsewhere"),
     "FIFO": lambda: os.mkfifo(path)}[kind]()
    arguments = arguments.replace("RUN", str(tiny_run)).split()
    line = refused(script, *arguments)
    if kind == "file":
        assert f"{name} exists; expected --force" in line and path.read_text() == "mine"
    else:
        assert f"{name}: expected a file or nothing" in line
        assert refused(script, *arguments, "--force") == line
    assert [*tmp_path.rglob("*")] == [path.parent, path]


def test_what_is_not_in_the_way_survives_a_run_and_its_replacement(trained, tiny_npz, tmp_path):
    for name in UNTOUCHED:
        write(tmp_path, name)
    before = contents(tmp_path)
    for again in ([], ["--overwrite"]):
        trained("--dataset", tiny_npz, *TINY, *QUICK, *again)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before


def test_an_animation_is_of_the_run_whose_folder_it_is_in(succeed, copied, tmp_path):
    run, elsewhere = copied
    for folder in (run, elsewhere):
        succeed("make_gif.py", "--images", run, "--output", folder / "training.gif")
    assert run / "training.gif" in RunFolder(run).own_files()
    (run / "training.gif").write_text("mine")  # one's own, with the same name
    before = contents(elsewhere)
    for folder in copied:
        RunFolder(folder).clear()
    assert contents(run).keys() == {"training.gif"} and contents(elsewhere) == before


def test_a_moved_run_keeps_its_files(run):
    moved = run.with_name("moved")
    run.rename(moved)
    folder = RunFolder(moved)
    folder.check()
    assert folder.holds_run()
    assert {path.relative_to(moved).as_posix() for path in folder.own_files()} == {
        *contents(moved)} - {MANIFEST}
    folder.clear()
    assert contents(moved) == {} and not (moved / "exported_model").exists()


@pytest.mark.parametrize("name", ["config.json", "history.csv", "report.html",
                                  "exported_model/saved_model.pb"])
def test_a_file_of_a_run_that_was_replaced_stays(run, name):
    write(run, name)
    assert_error(REFUSED.format(name), RunFolder(run).check)
    RunFolder(run).clear()
    assert contents(run).keys() == {name}


@pytest.mark.parametrize("name", ["../elsewhere/notes.txt", "..", ".", "", MANIFEST, "notes",
                                  "generated_images/../../elsewhere/notes.txt", "x\0y", "link",
                                  "exported_model/../../elsewhere/notes.txt", "sub/notes.txt",
                                  "/etc/hostname", "exported_model/link/notes.txt"])
def test_a_name_that_leads_elsewhere_is_not_obeyed(copied, name):
    run, elsewhere = copied
    for inside in ("sub/notes.txt", "notes/mine.txt"):
        write(run, inside)
    for link in (run / "link", run / "exported_model/link"):
        link.symlink_to(elsewhere / "notes.txt" if link.parent == run else elsewhere)
    list_in(run, name)
    before = contents(elsewhere)
    RunFolder(run).clear()
    assert contents(elsewhere) == before and (run / "link").is_symlink()
    assert (run / "sub/notes.txt").exists() and (run / "notes/mine.txt").exists()


@pytest.mark.parametrize("name", SUBFOLDERS)
def test_links_to_ones_own_folders_work(run, name):
    disk = run.with_name("disk")
    (run / name).rename(disk)
    (run / name).symlink_to(disk)
    folder = RunFolder(run)
    folder.check()
    assert folder.holds_run()
    folder.clear()
    assert contents(disk) == {} and contents(run) == {} and (run / name).is_symlink()
    folder = RunFolder(run)  # for the next run, which uses them
    folder.check()
    folder.claim(run / name / "step_000000009.npz").write_text("ours")
    assert (disk / "step_000000009.npz").exists()


@pytest.mark.parametrize(("name", "content"), [
    *[(name, content) for name in SUBFOLDERS for content in ("files", "a copy", "its folder")],
    *[(name, "listed files") for name in SUBFOLDERS[:3]]])  # an export holds files of any name
def test_a_link_to_a_folder_of_others_is_refused(copied, tiny_run, name, content):
    run, elsewhere = copied
    shutil.rmtree(run / name)
    if content == "listed files":
        list_in(run, *[f"{name}/{path.name}" for path in elsewhere.iterdir()])
    elif content != "files":
        elsewhere = run.with_name("copy")
        shutil.copytree(tiny_run, elsewhere)
        elsewhere /= "" if content == "its folder" else name
    (run / name).symlink_to(elsewhere)
    before, folder = contents(elsewhere), RunFolder(run)
    assert_error(REFUSED.format(name), folder.check)
    with contextlib.suppress(UserError):
        folder.claim(run / name / "step_000000009.npz")
    RunFolder(run).clear()
    assert contents(elsewhere) == before


@pytest.mark.parametrize("name", ["history.csv", "report.html", "checkpoints/best.npz",
                                  "generated_images/epoch_0009.png", MANIFEST])
@pytest.mark.parametrize("listed", [True, False])
def test_a_link_in_the_place_of_a_file_is_refused(copied, name, listed):
    run, elsewhere = copied
    if listed:
        list_in(run, name)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(elsewhere / "notes.txt")
    before, folder = contents(elsewhere), RunFolder(run)
    assert_error(REFUSED.format(name), folder.check)
    assert_error(REFUSED.format(name), folder.claim, run / name)
    assert contents(elsewhere) == before and (run / name).is_symlink()


@pytest.mark.parametrize("text", ["notes\n", "# Run x wrote these files\n", " "])
def test_a_manifest_of_somebody_else_stays(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    assert_error(REFUSED.format(MANIFEST), RunFolder(tmp_path).check)
    with claimed(tmp_path / "training.gif"):
        pass
    assert (tmp_path / MANIFEST).read_text() == text and not is_listed(tmp_path / MANIFEST)


def test_a_process_killed_while_it_listed_a_file_leaves_a_usable_manifest(tmp_path):
    folder = RunFolder(tmp_path)
    folder.claim(folder.config)  # killed before it was written
    with open(tmp_path / MANIFEST, "a") as file:
        file.write("history.c")  # killed while it was listed
    (tmp_path / "history.c").write_text("mine")
    folder = RunFolder(tmp_path)
    folder.check()
    assert folder.own_files() == [] and not folder.holds_run()
    folder.claim(folder.history).write_text("ours")
    folder.check()
    assert RunFolder(tmp_path).own_files() == [folder.history]
    RunFolder(tmp_path).clear()
    assert contents(tmp_path) == {"history.c": b"mine"}


def test_a_checkpoint_that_no_run_listed_is_not_rotated_away(tmp_path):
    folder = RunFolder(tmp_path)
    for step in range(5, 9):
        checkpoint(step).save(folder)
        write(tmp_path, "checkpoints/step_000000001.npz")
    assert {path.name for path in folder.checkpoints.iterdir()} == {
        "step_000000001.npz", "step_000000007.npz", "step_000000008.npz"}


def test_what_cannot_be_removed_is_an_error(run):
    denied = PermissionError(13, "Permission denied", "log.txt")
    with mock.patch("pathlib.Path.unlink", side_effect=denied):
        assert_error("cannot remove log.txt: Permission denied", RunFolder(run).clear)


def test_a_run_may_be_named_like_its_data(trained, tmp_path):
    (tmp_path / "ring").mkdir()
    trained("--dry-run", "--dataset", "ring", "--outdir", "ring")
