"""The page of one run."""

import time

from gan.report import sections
from gan.report.curves import axes_of, panels_of, thin
from gan.report.document import document
from gan.report.film import film_section, films_of

LEAST_WAIT, MOST_WAIT = 5, 60  # seconds between two looks at the file while a run goes on
CURVES = """<section id="curves"><h2>Losses and scores</h2>
<div class="controls"><label>over <select id="axis"><option value="epoch">epochs</option>
<option value="step">steps</option><option value="minutes">minutes of training</option></select>
</label></div><div class="panels"></div></section>"""


def page_of(run, embedded):
    """Return the report of a run as HTML.

    Args:
        run: `RunContent`.
        embedded: `Embedded`, which keeps pictures from one call to the next.
    """
    rows, films = thin(run.rows), films_of([run], embedded)
    data = {"runs": [{"name": run.name, "axes": axes_of(rows)}], "films": films,
            "panels": panels_of(run, rows) if rows else [], "written": round(time.time() * 1000),
            "reload": reload_seconds(run)}
    parts = [sections.header(run), sections.verdict(run), sections.tiles(run),
             film_section(films) if films[0]["frames"] else "", CURVES if rows else "",
             sections.metrics(run), sections.device(run), sections.commands(run),
             sections.options(run)]
    title = f"{run.dataset.get('name') or run.name}: training of a GAN"
    return document(title, f'<main class="page">{"".join(parts)}</main>', data)


def reload_seconds(run):
    """Return how long the page waits before it reloads itself; 0: never."""
    if not run.running:
        return 0
    epoch = run.rows[-1]["seconds"] / run.epochs if run.rows else MOST_WAIT / 4
    return round(min(max(epoch / 2, LEAST_WAIT), MOST_WAIT))
