"""The report of a run as one HTML file, or a comparison of several.

    python -m gan.report RUN                  # RUN/report.html
    python -m gan.report RUN OTHER_RUN        # comparison.html
    python -m gan.report RUN OTHER_RUN --output table.md    # or table.csv
"""

import dataclasses
from pathlib import Path

from gan.common.command_line import OptionParser, file, folder
from gan.common.errors import printable, reading, run_script
from gan.common.files import refuse_existing, remove_leftovers, write_text
from gan.report.comparison import csv_text, groups_of, markdown

COMPARISON = "comparison.html"
TABLES = {".md": markdown, ".csv": csv_text}  # what is written instead of a page, by the suffix


def main(argv=None):
    """Write a report as a command line says (None: the process's own); returns the exit code."""
    options = make_parser().parse_args(argv)

    from gan.common.device import import_tensorflow
    from gan.report.live import read_run
    from gan.report.page import page_of
    from gan.run.folder import claimed

    output = choose_output(options)
    runs = [read_run(path) for path in options.run]
    if len({run.name for run in runs}) < len(runs):  # folders of one name in different places
        runs = [dataclasses.replace(run, name=run.folder) for run in runs]
    with reading(", ".join(options.run), "the files of a run"):
        if output.suffix in TABLES:
            page = TABLES[output.suffix](groups_of(runs))
        else:
            import_tensorflow(verbose=False)  # what the losses mean is derived from them
            page = page_of(runs)
    remove_leftovers(output.parent)
    with claimed(output):
        write_text(output, page)
    print(f"{printable(output)}: {output.stat().st_size / 1000:,.0f} kB")
    return 0


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


def choose_output(options):
    """Return the path of the page; `UserError` where a file may not be overwritten."""
    from gan.run.folder import RunFolder, is_listed

    default = RunFolder(options.run[0]).report if len(options.run) == 1 else Path(COMPARISON)
    output = Path(options.output or default)
    refuse_existing(output, options.force or (not options.output and is_listed(output)),
                    "--output")
    return output


if __name__ == "__main__":
    run_script("gan.report", main)
