"""Self-contained HTML pages from a body, a style sheet, scripts and data."""

import base64
import hashlib
import html
import json
from pathlib import Path

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
{data}
{scripts}
</body>
</html>
"""


def html_page(body, style, scripts, title, data, policy=""):
    """Return a page that loads nothing, and whose policy runs no script or style but its own.

    Args:
        body, style, scripts: paths of the files; a script's id is its name.
        data: dict of element id → value for JSON, or bytes as base64.
        policy: further rules of the Content Security Policy.
    """
    style, texts = _read(style), {Path(script).name: _read(script) for script in scripts}
    allowed = " ".join(map(_checksum, texts.values()))
    return PAGE.format(
        policy=f"default-src 'none'; img-src data: blob:; style-src {_checksum(style)}; "
               f"script-src {allowed}; base-uri 'none'; form-action 'none'; {policy}",
        title=html.escape(title), style=style, body=_read(body),
        data="\n".join(_data_element(name, value) for name, value in data.items()),
        scripts="\n".join(f'<script id="{name}">{text}</script>' for name, text in texts.items()))


def json_in_script(value):
    """Return a value as JSON that no string in it can end the script element of."""
    # Infinities and NaN become null, other numbers have the digits of float32.
    plain = json.loads(json.dumps(value), parse_float=lambda digits: float(f"{float(digits):.9g}"),
                       parse_constant=lambda _: None)
    text = json.dumps(plain, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data_element(name, value):
    if isinstance(value, bytes):
        return f'<script type="text/plain" id="{name}">{base64.b64encode(value).decode()}</script>'
    return f'<script type="application/json" id="{name}">{json_in_script(value)}</script>'


def _checksum(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(path):
    return Path(path).read_text(encoding="utf-8")
