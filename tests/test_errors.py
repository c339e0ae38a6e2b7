"""How the scripts begin and end: streams, encodings, interrupts, leftovers of dead processes."""

import os
import re
import subprocess
import sys
import time

import pytest

from gan.common.errors import UserError, run_script
from gan.common.files import atomic_file, atomic_folder, remove_leftovers
from tests.conftest import ROOT, heed_signals


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
    import signal

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
