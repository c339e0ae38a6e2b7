"""Numbers and commands in words, and text that is safe in HTML."""

import html
import math

from gan.common.html import json_in_script


def escape(text):
    """Return any text as HTML that shows it and does nothing else."""
    return html.escape(str(text), quote=True)


def data_script(data):
    """Return a value as the JSON of a `<script>` element, which no text in it can end."""
    return json_in_script(_finite(data))


def number(value, digits=4):
    """Return a number in at most so many digits, such as "12,345" or "0.08654"."""
    if isinstance(value, int) or 10 ** (digits - 1) <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(seconds):
    """Return a time such as "8.2 s", "2 min 5 s" or "3 h 12 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def table(head, rows, kind=""):
    """Return an HTML table of cells that are HTML already.

    Args:
        head: list of headings; empty: none.
        rows: list of lists of cells; the first of each is its heading.
        kind: class of the table.
    """
    heading = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
        for first, *cells in rows)
    head = f"<thead><tr>{heading}</tr></thead>" if head else ""
    return f'<div class="wide"><table class="{kind}">{head}<tbody>\n{body}</tbody></table></div>'


def _finite(value):
    """Replace what JSON has no number for, and shorten the others to what a screen shows."""
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
