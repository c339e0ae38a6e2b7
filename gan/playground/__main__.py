"""Exported generator as one HTML file, which draws for a seed what generate.py draws.

    python -m gan.playground --model exported_model
"""

from pathlib import Path

from gan.common.command_line import OptionParser, file, folder
from gan.common.device import hidden_messages
from gan.common.errors import note, run_script
from gan.common.files import refuse_existing, write_text
from gan.data.sample_types import Images, sample_type_of
from gan.generator import SavedGenerator
from gan.playground.page import WebGenerator
from gan.run.folder import claimed

COMPARED = range(64)  # seeds
MOST_DIFFERENCE = 0.5  # gray levels that rounded weights may move a pixel, so 1 when rounded


def main(argv=None):
    """Write the page as a command line says (None: the process's own); returns the exit code."""
    options = make_parser().parse_args(argv)
    output, saved = Path(options.output), SavedGenerator(options.model)
    refuse_existing(output, options.force, "--output")
    images = sample_type_of(saved.sample_shape) is Images
    with hidden_messages():  # of the freezing
        generator = WebGenerator(saved)
    moved = generator.half_difference(COMPARED) if images else 0.0
    half = images and moved <= MOST_DIFFERENCE  # nor is NaN; points have few weights
    if images and not half:
        note(f"float16 weights would change a pixel by {moved:.1f} gray levels; the page has "
             "float32")
    page = generator.page(options.model, half)
    with claimed(output):
        write_text(output, page)
    print(f"{output}: {len(page) / 1e6:.2f} MB, {'float16' if half else 'float32'} weights; "
          "open it in a browser")
    return 0


def make_parser():
    """Return the parser of the command line."""
    parser = OptionParser(prog="python -m gan.playground",
                          description="Write an exported generator as one HTML file that draws "
                          "in any browser, with no network and no Python.")
    add = parser.add_argument
    add("--model", type=folder, default="exported_model", metavar="FOLDER",
        help="exported SavedModel or run folder (default: exported_model)")
    add("--output", type=file, default="playground.html", metavar="FILE",
        help="the page (default: playground.html)")
    add("--force", action="store_true", help="overwrite an existing file")
    return parser


if __name__ == "__main__":
    run_script("gan.playground", main)
