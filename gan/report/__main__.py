"""Report of a run as one HTML file, or a comparison of several.

    python -m gan.report RUN                  # RUN/report.html
    python -m gan.report RUN OTHER_RUN        # comparison.html
    python -m gan.report RUN OTHER_RUN --output table.md    # or table.csv
"""

import dataclasses
from pathlib import Path

from gan.common.command_line import OptionParser, file, folder
from gan.common.errors import counted, printable, reading, run_script
from gan.common.files import refuse_existing, write_text
from gan.report.comparison import comparison_page, csv_text, markdown
from gan.report.page import run_page
from gan.run.content import read_run
from gan.run.folder import RunFolder, claimed, is_listed

COMPARISON = "comparison.html"
TABLES = {".md": markdown, ".csv": csv_text}  # what is written instead of a page, by the suffix


def main(argv=None):
    """Write a report as a command line says (None: the process's own); returns the exit code."""
    options = make_parser().parse_args(argv)
    default = RunFolder(options.run[0]).report if len(options.run) == 1 else COMPARISON
    output = Path(options.output or default)
    refuse_existing(output, options.force or (not options.output and is_listed(output)),
                    "--output")
    runs = [read_run(path) for path in options.run]
    if len({run.name for run in runs}) < len(runs):  # folders of one name in different places
        runs = [dataclasses.replace(run, name=run.folder) for run in runs]
    with reading(", ".join(options.run), "the files of a run"):
        text = TABLES.get(output.suffix, page_of)(runs)
    with claimed(output):
        write_text(output, text)
    print(f"{printable(output)}: {counted(len(runs), 'run')}")
    return 0


def page_of(runs):
    """Return the report of one run, or the comparison of several `RunContent`, as HTML."""
    return comparison_page(runs) if len(runs) > 1 else run_page(runs[0])


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.report", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("run", nargs="*", type=folder, default=["."], metavar="RUN",
        help="folder of a run; several are compared (default: this folder)")
    add("--output", type=file, metavar="FILE",
        help=f"the page (default: report.html or {COMPARISON}), or .md or .csv")
    add("--force", action="store_true", help="overwrite an existing file")
    return parser


if __name__ == "__main__":
    run_script("gan.report", main)
