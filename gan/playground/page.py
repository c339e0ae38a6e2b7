"""Playground page: template, style, scripts, network and weights in one HTML file."""

from pathlib import Path

from gan.common.html import html_page

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("engine.js", "seeds.js", "artist.js", "playground.js")


def write_page(description, network, weights):
    """Return the page as text.

    Args:
        description: dict, see `WebGenerator.description`.
        network: dict, see `network.pack`.
        weights: bytes, likewise.
    """
    return html_page(
        ASSETS / "playground.html", ASSETS / "playground.css", [ASSETS / name for name in SCRIPTS],
        f"Generator of {description['dataset'] or 'samples'}",
        {"description": description, "network": network, "weights": weights},
        policy="worker-src blob:")
