"""The HTML file: text, style, scripts and weights in one, and nothing from outside."""

import base64
import hashlib
import html
import json
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("engine.js", "seeds.js", "artist.js", "playground.js")


def write_page(description, network, weights):
    """Return the page as text.

    Args:
        description: dict, see `WebGenerator.description`.
        network: dict, see `network.pack`.
        weights: bytes, likewise.
    """
    style = _asset("playground.css")
    scripts = {name: _asset(name) for name in SCRIPTS}
    parts = {
        "TITLE": html.escape(f"Generator of {description['dataset'] or 'samples'}"),
        "POLICY": _policy(style, scripts.values()),
        "STYLE": f"<style>{style}</style>",
        "ABOUT": in_script(description),
        "NETWORK": in_script(network),
        "WEIGHTS": base64.b64encode(weights).decode(),
        "SCRIPTS": "".join(f'<script id="{name}">{text}</script>\n'
                           for name, text in scripts.items()),
    }
    page = _asset("playground.html")
    pieces = page.split("__")  # text, name, text, name, …
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def in_script(value):
    """Return a value as JSON that may stand in a script element, whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name):
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(style, scripts):
    """Return a Content-Security-Policy under which nothing is asked of any address.

    Scripts and style are named by their checksums, so that no text that came with
    the data could ever be one.
    """
    def checksums(texts):
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return "; ".join([
        "default-src 'none'", f"script-src {checksums(scripts)}", "worker-src blob:",
        f"style-src {checksums([style])}", "img-src data: blob:", "base-uri 'none'",
        "form-action 'none'"])
