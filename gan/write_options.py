"""Write docs/options.md: every option of every command, from the declarations.

    python -m gan.write_options
"""

import re
from importlib import import_module
from pathlib import Path

from gan.common.errors import run_script
from gan.common.files import write_text
from gan.config import POINTS, TrainConfig

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"
# Each has a function make_parser(). They are imported by name, as no module may
# depend on a command.
COMMANDS = ("gan.config", "generate", "make_gif", "gan.evaluate", "gan.report", "gan.playground",
            "gan.convert", "gan.cache", "gan.shards")
LONGEST_DEFAULT = 16  # characters; a longer one stays in the text, so that columns are narrow
ONE_CALL = {"resume", "overwrite", "outdir", "dry_run", "verbose"}  # never part of a run
HEAD = """# Options

Written by `python -m gan.write_options` from the declarations in the code. `--help` of each \
command shows the same, `--version` the version. Every option may be spelled with underscores: \
`--batch_size` is `--batch-size`.
"""


def main():
    """Write the page; returns the exit code."""
    write_text(PAGE, page())
    print(PAGE)
    return 0


def page():
    """Return the whole page as Markdown text."""
    parts = [HEAD]
    for name in COMMANDS:
        parser = import_module(name).make_parser()
        parts.append(f"\n## {parser.prog}\n\n{parser.description}\n")
        parts += [_table(group) for group in parser._action_groups if _actions(group)]
        if name == "gan.config":
            parts.append(_notes())
    return "".join(parts)


def _notes():
    points = ", ".join(f"`{_spelled(name)} {value}`" for name, value in POINTS.items())
    free = ", ".join(f"`{_spelled(name)}`" for name, field in
                     TrainConfig.__dataclass_fields__.items()
                     if not field.metadata["fixed"] and name not in ONE_CALL)
    return (f"\nWith simulated points these defaults are others: {points}.\n\n"
            f"`--resume` keeps the run's options and accepts a new value of: {free}.\n")


def _table(group):
    title = group.title[0].upper() + group.title[1:]
    rows = "".join(f"| {' | '.join(_cells(action))} |\n" for action in _actions(group))
    return f"\n### {title}\n\n| option | default | meaning |\n| --- | --- | --- |\n{rows}"


def _actions(group):
    return [action for action in group._group_actions if action.dest not in ("help", "version")]


def _cells(action):
    """The option with its placeholder, its default, and what it does."""
    meaning, default = action.help or "", ""
    option = (action.option_strings or [""])[-1]
    if (action.metavar or "").startswith("{"):
        words = ", ".join(f"`{word}`" for word in action.metavar.strip("{}").split(","))
        meaning = f"{words}: {meaning}"
    elif action.metavar:
        option = f"{option} {action.metavar}".lstrip()  # without a name: one by its place
    found = re.fullmatch(r"(.*) \(default: (.*?)(; points: .*)?\)", meaning)
    if found and len(found[2]) <= LONGEST_DEFAULT:
        meaning, default = found[1], f"`{found[2]}`"
    cells = f"`{option}`", default, meaning.replace("%%", "%")
    return [cell.replace("|", "\\|") for cell in cells]


def _spelled(name):
    return "--" + name.replace("_", "-")


if __name__ == "__main__":
    run_script("gan.write_options", main)
