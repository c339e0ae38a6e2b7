"""What README.md and docs/ promise about options, commands and files is so."""

import os
import re
import shlex
import shutil
import subprocess
from importlib import import_module

import pytest

from gan.evaluate.registry import METRICS
from gan.run.options import parse_options
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")),
         ROOT / "docs" / "lab.ipynb"]
# Each has a function make_parser().
COMMANDS = ("gan.run.options", "generate", "make_gif", "gan.evaluate", "gan.report",
            "gan.playground", "gan.convert", "gan.shards")
OTHERS = {"--logdir", "--quiet", "--requirement"}  # options of other programs
MODULES = {"train_gan.py": "gan.run.options", "generate.py": "generate", "make_gif.py": "make_gif"}


def parser_of(name):
    own = f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name
    return import_module(own).make_parser()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_eighty_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = parser_of(name)
    assert max(map(len, parser.format_help().splitlines())) <= 80
    for action in parser._actions:
        assert len(re.sub(r" \(.*?\)", "", action.help % vars(action)).split()) <= 12, action.dest


def commands(path):
    """The command lines of this project's scripts in a page's `bash` blocks."""
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(), re.DOTALL):
        for line in block.splitlines():
            found = re.match(r"python (?:-m )?(\S+)(.*)", line)
            module = MODULES.get(found[1], found[1]) if found else None
            if module in COMMANDS:
                yield module, shlex.split(found[2], comments=True)


def headings(path):
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL).splitlines()
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in lines if line.startswith("#")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_option_command_file_and_heading_that_is_named_exists(path):
    known = OTHERS.union(*(parser_of(name)._option_string_actions for name in COMMANDS))
    for script in ROOT.glob("benchmarks/*.py"):
        known |= set(re.findall(r'"(--[a-z][a-z-]*)"', script.read_text()))
    own = re.sub(r"saved_model_cli (.*\\\n)*.*", "", path.read_text())  # TensorFlow's command
    for name in set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", own)):
        assert name.replace("_", "-") in known, name
    assert path.name != "README.md" or ("gan.run.options", []) in commands(path)  # it finds some
    for module, arguments in commands(path):
        if module == "gan.run.options" and "--init-from" not in arguments:  # which reads a run
            parse_options(arguments)
        else:
            parser_of(module).parse_args(arguments)
    for target, _, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(#([^)\s]+))?\)", path.read_text()):
        file = (path.parent / target) if target else path
        assert file.exists(), target
        assert not anchor or anchor in headings(file), f"{target}#{anchor}"


def test_every_page_and_picture_is_linked():
    text = "".join(path.read_text() for path in PAGES)
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()]:
        assert path.name in text, path.name


def test_make_and_readme_run_the_same_tests():
    lines = (ROOT / "README.md").read_text().splitlines()
    command = next(line for line in lines if line.startswith("python -m pytest"))
    assert f".venv/bin/{command} $(ARGS)" in (ROOT / "Makefile").read_text()


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_installs_before_it_trains(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def steps(*arguments):
        done = subprocess.run(["make", "--dry-run", *arguments], cwd=tmp_path, capture_output=True,
                              text=True, check=True)
        return [line for line in done.stdout.splitlines() if line.startswith((".venv", "python3"))]

    install = ".venv/bin/python -m pip install --requirement requirements.txt"
    train = ".venv/bin/python train_gan.py --epochs 2"
    new = steps("train", "ARGS=--epochs 2", "PYTHON=python3")
    assert new[1:] == ["python3 -m venv .venv", install, train]
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "requirements").touch()
    assert steps("train", "ARGS=--epochs 2") == [train]
    os.utime(tmp_path / ".venv" / "requirements", (0, 0))  # the requirements changed since
    assert steps("train", "ARGS=--epochs 2")[-2:] == [install, train]


def test_the_page_explains_every_metric_of_images():
    text = (ROOT / "docs" / "training.md").read_text()
    for metric in METRICS.values():
        if "images" in metric.samples:
            assert f"| `{metric.name}` | {metric.explanation} |" in text, metric.name
