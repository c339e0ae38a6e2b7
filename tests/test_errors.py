"""How commands begin and end; wrong input is one line on standard error and exit code 2."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from gan.common.errors import UserError, run_script
from gan.common.files import atomic_file, atomic_folder, remove_leftovers
from tests.conftest import ROOT, TINY, heed_signals
from tests.test_foreign_files import contents


def start(script, *arguments, shell="", **settings):
    """Run a script through a shell that may redirect or close its streams."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(["sh", "-c", f'"$@" {shell}', "sh", *command], capture_output=True,
                          timeout=120, **settings)


@pytest.mark.parametrize("script", ["train_gan.py", "generate.py", "make_gif.py"])
def test_every_script_starts_and_fails_in_one_line(script):
    done = start(script, "--help", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    usage = "[OPTIONS]" if script == "train_gan.py" else "[-h]"
    assert done.stdout.decode("ascii").startswith(f"usage: {script} {usage}")
    done = start(script, "--version", shell="2>&-")
    assert re.fullmatch(rf"{script} \d+\.\d+\.\d+\n".encode(), done.stdout)
    done = start(script, "--nonsense", shell=">&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == f"{script}: error: unknown option: --nonsense (see --help)\n".encode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize(("option", "shell", "code", "complaint"), [
    ("--help", ">/dev/full", 2, b"make_gif.py: error: cannot write to standard output: "
                                b"No space left on device\n"),
    ("--help", "| true", 0, b""),  # a reader that leaves
    ("--nonsense", ">/dev/full 2>&1", 2, b"")])
def test_output_that_cannot_be_written(option, shell, code, complaint):
    done = start("make_gif.py", option, shell=shell, env={**os.environ, "PYTHONUNBUFFERED": ""})
    assert (done.returncode, done.stderr) == (code, complaint)


INTERRUPTED = """
import os, runpy, signal, sys

def interrupt(event, arguments):
    if event == "import" and arguments[0] == {module!r}:
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
sys.argv = [{script!r}]
sys.path.insert(0, {root!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("script", "module"), [
    ("train_gan.py", "gan.common.command_line"), ("generate.py", "numpy._core._multiarray_umath"),
    ("make_gif.py", "gan.common.command_line")])
def test_ctrl_c_during_the_imports(script, module, tmp_path):
    code = INTERRUPTED.format(module=module, script=str(ROOT / script), root=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, preexec_fn=heed_signals)
    assert (done.returncode, done.stderr) == (130, f"{script}: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_that_became_another_error_stays_one(capsys):
    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except KeyboardInterrupt as error:
            raise ImportError("bad installation") from error

    with pytest.raises(SystemExit) as caught:
        run_script("a.py", main)
    assert caught.value.code == 143 and capsys.readouterr().err == "a.py: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_errors_do_nothing_to_the_terminal(capsys):
    def main():
        raise UserError("é — 一 \x1b]0;title\x07 \x9b0m \u202etxt \udcff b\n c")

    with pytest.raises(SystemExit):
        run_script("a.py", main)
    assert capsys.readouterr().err == (
        r"a.py: error: é — 一 \x1b]0;title\x07 \x9b0m \u202etxt \udcff b c" "\n")


def test_leftovers_of_killed_processes_are_removed_and_those_of_living_ones_kept(tmp_path):
    """Whatever is written next into the folder removes them."""
    foreign = [".gan-partial-notes", "gan-partial-0123456789abcdef",
               ".gan-partial-0123456789abcdef0"]
    killed = [".gan-partial-0123456789abcdef", ".gan-partial-fedcba9876543210"]
    (tmp_path / killed[1] / "part").mkdir(parents=True)
    for name in (*foreign, killed[0], f"{killed[1]}/part/file"):
        (tmp_path / name).write_text("x")
    with atomic_file(tmp_path / "a") as file:
        assert {path.name for path in tmp_path.iterdir()}.isdisjoint(killed)
        (tmp_path / killed[0]).write_text("x")
        remove_leftovers.cache_clear()  # as in another process
        with atomic_folder(tmp_path / "b") as folder:
            assert not (tmp_path / killed[0]).exists()
            remove_leftovers.__wrapped__(tmp_path)  # as in a third one
            (folder / "file").write_text("x")
        file.write(b"x")
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, "a", "b"}


@pytest.mark.parametrize(("arguments", "expected"), [
    (["--epochs", "0"], "--epochs: expected a whole number from 1 to 1000000, got: '0'"),
    (["--epochs"], "--epochs: expected one argument"),
    (["--batch_size", "many"], "a whole number from 2 to 65536, got: 'many'"),
    (["--beta1", "1"], "--beta1: expected a number from 0 to 0.9999, got: '1'"),
    (["--loss", "wasser"], "--loss: expected one of auto, nonsaturating, minimax, lsgan"),
    (["--arch", "resnet", "--dropout", "0.1"], "need --arch conv, dcgan or mlp, got: --arch resn"),
    (["--arch", "mlp", "--upsampling", "plain"], "--upsampling needs --arch conv or dcgan, got: "),
    (["--dataset", "ring", "--output", "tanh"], "--output: expected for points: auto"),
    (["--epoch", "3"], "unknown option: --epoch (did you mean --epochs?)"),
    (["5"], "unknown option: 5"),
    (["--dataset", "no/such/folder"], "--dataset: expected mnist, fashion_mnist, ring"),
    (["--loss", "hinge", "--label-smoothing", "0.1"], "--label-smoothing needs --loss"),
    (["--loss", "wgan", "--gradient-penalty", "none"], "--loss wgan needs a --gradient"),
    (["--dataset", "ring", "--arch", "dcgan"], "--arch: expected for points: mlp"),
    (["--dataset", "grid", "--augment", "adaptive"],
     "--augment: expected for points: none, got: adaptive"),
    (["--dataset", "grid", "--mirror"], "--mirror: expected for points: leave it out"),
    (["--gradient-penalty", "none", "--gp-weight", "1"], "--gp-weight needs a --gradient"),
    (["--image-size", "32"], "--image-size: expected a --dataset folder of pictures with it"),
    (["--dataset", "photso", "--image-size", "32x48"], "photso (no such file or folder)"),
    (["--image-size", "64x15"], "--image-size: expected a side or WIDTHxHEIGHT from 16 to 512"),
    (["--condition", "none", "--components", "4"], "--components needs --condition labels"),
    (["--lr", "1e-3", "--lr-g", "1e-3", "--lr-d", "1e-3"], "--lr has no effect beside --lr-g"),
    (["--devices", "9" * 400], "--devices: expected a whole number from 1 to 1024, got: '999"),
    (["--keep-best"], "--keep-best needs --metrics-interval"),
    (["--resume", "--overwrite"], "contradict each other"),
    (["--minutes", "5", "--epochs", "3"], "expected one of them, got: both"),
    (["--resume"], "--resume: expected a checkpoint in checkpoints"),
    (["--resume", "--outdir", "typo"], "got: typo (no such folder)"),
    (["--outdir", "file"], "--outdir: expected a folder"),
    (["--outdir", os.fsdecode(b"caf\xe9")], "expected the name of a folder in UTF-8"),
    (["--dataset", "empty"], "expected pictures (PNG, JPEG, WebP, GIF, BMP, TIFF) or IDX"),
    (["--dataset", "empty", "--outdir", "empty"], "outside of the data"),
    (["--dataset", "empty", "--outdir", "empty/below"], "outside of the data"),
    (["--dataset", "nowhere.npz", "--outdir", "new/run"], "nowhere.npz"),
    (["--outdir", "/proc/nowhere"], "--outdir: expected a folder that can be written")])
def test_train_gan_refuses(refused, tmp_path, arguments, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    assert expected in refused("train_gan.py", *arguments)
    assert {path.name for path in tmp_path.rglob("*")} == {"empty", "file"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], "holds a run; expected --resume to continue it"),
    (["--resume", "--dataset", "mnist"], "--dataset: mnist does not hold the samples"),
    (["--resume", "--dataset", "nowhere.npz"], "give their new place with --dataset"),
    (["--resume", "--base_channels", "8"], "--base-channels: the run to resume has 4, got: 8"),
    (["--resume", "--mixed-precision", "bfloat16"], "--mixed-precision: the run to resume has off"),
    (["--resume", "--epochs", "1"], "--epochs: expected at least 2")])
def test_a_finished_run_is_not_changed_by_another(refused, run, arguments, expected):
    before = contents(run)
    assert expected in refused("train_gan.py", "--outdir", "run", *arguments)
    assert contents(run) == before


def test_resume_refuses_damaged_checkpoints_only_when_none_is_whole(command, run):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    code, _, errors = command("train_gan.py", "--resume", "--outdir", "run")
    lines = errors.splitlines()
    assert code == 2 and "got only damaged ones" in lines[-1]
    assert [line.split(":")[0] for line in lines] == ["warning", "warning", "train_gan.py"]


def test_missing_tensorflow_is_said(refused, monkeypatch, tiny_npz):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec",
                        lambda name, *rest: None if name == "tensorflow" else found(name, *rest))
    message = refused("train_gan.py", "--dataset", tiny_npz, *TINY)
    assert "TensorFlow is not installed; expected: pip install -r requirements.txt" in message
