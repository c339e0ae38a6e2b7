"""The rules of the house, and what README.md and docs/ promise about it."""

import ast
import graphlib
import os
import re
import shlex
import shutil
import subprocess
import zipfile
from importlib import import_module

import pytest

from gan.evaluate.registry import METRICS
from gan.run.options import parse_options
from tests.conftest import ROOT, run_python

FILES = sorted((ROOT / "gan").rglob("*.py"))
LIGHT = ("gan.config", "gan.generator", "gan.run.folder", "gan.run.checkpoint", "gan.run.options",
         "gan.common.", "gan.data.")


def name_of(path):
    """`gan/data/points.py` → "gan.data.points"; a package is named by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Names of the modules of `gan` that a file imports anywhere in it."""
    modules = {name_of(other) for other in FILES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gan":
            for name in node.names:
                below = f"{node.module}.{name.name}"
                yield below if below in modules else node.module


ROOMS = {name_of(path): set(imports_of(path)) for path in FILES}
COMMANDS = {name_of(path) for path in FILES  # what is started with `python -m`
            if 'if __name__ == "__main__":' in path.read_text()}


# Lowest first: a module imports from its own level and from those above it in this list.
LEVELS = (
    ("gan", "gan.common", "gan.layers", "gan.losses", "gan.augment"),
    ("gan.data", "gan.drawing", "gan.distributed"),
    ("gan.config", "gan.models", "gan.feed", "gan.sampling"),
    ("gan.training", "gan.transfer", "gan.export", "gan.generator", "gan.evaluate", "gan.report",
     "gan.run"),
    ("gan.interface", "gan.runner", "gan.loop", "gan.playground"),
)


def level_of(room):
    """The number of a module's level; a command is above all others."""
    if room in COMMANDS:
        return len(LEVELS)
    wing = ".".join(room.split(".")[:2])
    return next(number for number, wings in enumerate(LEVELS) if wing in wings)


def test_imports_run_one_way_to_lower_levels_and_to_no_command():
    order = graphlib.TopologicalSorter({room: imports - {room} for room, imports in ROOMS.items()})
    order.prepare()  # raises an error that names a circle
    for room, imports in ROOMS.items():
        assert all(level_of(other) <= level_of(room) for other in imports), room
        assert not imports & COMMANDS, room


def test_importing_the_package_starts_nothing_and_light_modules_no_tensorflow():
    modules = sorted(module for module in ROOMS if module.startswith(LIGHT))
    run_python("-c", f"""
import gan, importlib, sys
assert {{"tensorflow", "keras", "numpy"}}.isdisjoint(sys.modules)
for module in {modules}:
    importlib.import_module(module)
    assert {{"tensorflow", "keras"}}.isdisjoint(sys.modules), module""", cwd=ROOT)


@pytest.mark.parametrize("script", ["train_gan.py", "generate.py", "make_gif.py"])
def test_help_needs_nothing_heavy(script):
    done = run_python("-X", "importtime", script, "--help", cwd=ROOT)
    assert "usage:" in done.stdout
    assert not re.search(r"\| +(tensorflow|keras|matplotlib|imageio)$", done.stderr, re.MULTILINE)


def test_run_time_packages_are_the_agreed_ones():
    names = {line.split(">")[0].strip() for line in (ROOT / "requirements.txt").read_text().split()
             if line[0].isalpha()}
    assert names == {"tensorflow", "numpy", "matplotlib", "tqdm", "imageio"}


def test_the_package_can_be_built_with_all_its_files(tmp_path):
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "gan", source / "gan", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.txt"), ROOT / "pyproject.toml",
                 ROOT / "README.md", ROOT / "LICENSE"]:
        shutil.copy(path, source)
    run_python("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path,
               source, cwd=tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    for path in (source / "gan").rglob("*"):
        assert path.is_dir() or str(path.relative_to(source)) in packed, path
    assert {"train_gan.py", "generate.py", "make_gif.py"} <= packed


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")),
         ROOT / "docs" / "lab.ipynb"]
# Each has a function make_parser().
DOCUMENTED = ("gan.run.options", "generate", "make_gif", "gan.evaluate", "gan.report",
            "gan.playground", "gan.convert", "gan.shards")
OTHERS = {"--logdir", "--quiet", "--requirement"}  # options of other programs
MODULES = {"train_gan.py": "gan.run.options", "generate.py": "generate", "make_gif.py": "make_gif"}


def parser_of(name):
    own = f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name
    return import_module(own).make_parser()


@pytest.mark.parametrize("name", DOCUMENTED)
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
            if module in DOCUMENTED:
                yield module, shlex.split(found[2], comments=True)


def headings(path):
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL).splitlines()
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in lines if line.startswith("#")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_option_command_file_and_heading_that_is_named_exists(path):
    known = OTHERS.union(*(parser_of(name)._option_string_actions for name in DOCUMENTED))
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


def test_every_page_and_picture_is_linked_and_every_metric_of_images_explained():
    text = "".join(path.read_text() for path in PAGES)
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()]:
        assert path.name in text, path.name
    text = (ROOT / "docs" / "training.md").read_text()
    for metric in METRICS.values():
        if "images" in metric.samples:
            assert f"| `{metric.name}` | {metric.explanation} |" in text, metric.name


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
