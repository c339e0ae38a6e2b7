"""The HTML file: text, style, scripts and weights in one, and nothing from outside."""

import base64
import html
from pathlib import Path

from gan.common.html import json_in_script, source_hash

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
        "ABOUT": json_in_script(description),
        "NETWORK": json_in_script(network),
        "WEIGHTS": base64.b64encode(weights).decode(),
        "SCRIPTS": "".join(f'<script id="{name}">{text}</script>\n'
                           for name, text in scripts.items()),
    }
    page = _asset("playground.html")
    pieces = page.split("__")  # text, name, text, name, …
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def _asset(name):
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(style, scripts):
    """Return a Content-Security-Policy under which nothing is asked of any address.

    Scripts and style are named by their checksums, so that no text that came with
    the data could ever be one.
    """
    allowed = " ".join(map(source_hash, scripts))
    return "; ".join([
        "default-src 'none'", f"script-src {allowed}", "worker-src blob:",
        f"style-src {source_hash(style)}", "img-src data: blob:", "base-uri 'none'",
        "form-action 'none'"])
