"""An HTML file that needs nothing but itself: no address is asked, no text in it can act."""

from pathlib import Path

from gan.common.html import source_hash
from gan.drawing.images import SOFTWARE
from gan.report.words import data_script, escape

# How a report begins; by this a run knows its own from a user's file of the same name.
START = f'<!doctype html>\n<html lang="en">\n<meta name="generator" content="{SOFTWARE} report">\n'
HERE = Path(__file__).resolve().parent
NO_SCRIPT = "Curves and pictures are drawn by a script in this file, which is switched off here."


def document(title, body, data):
    """Return a whole page.

    The Content Security Policy names the page's own script and style by their checksums,
    so that nothing else is run or loaded, were it to slip into the text.

    Args:
        title: text of the window.
        body: HTML; what it shows of data must be escaped.
        data: what the script draws: dict for JSON.
    """
    script, style = ((HERE / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    policy = (f"default-src 'none'; img-src data:; style-src {source_hash(style)}; "
              f"script-src {source_hash(script)}; base-uri 'none'; form-action 'none'")
    page = f"""{START}<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
<body>
{body}
<noscript><p class="page">{NO_SCRIPT}</p></noscript>
<script type="application/json" id="data">{data_script(data)}</script>
<script>{script}</script>
</body>
</html>
"""
    return page.encode("utf-8", "backslashreplace").decode()  # names of files may be no text
