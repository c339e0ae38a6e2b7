"""What every HTML file that is written here needs to hold data and scripts safely."""

import base64
import hashlib
import json


def json_in_script(value):
    """Return a value as JSON that may stand in a script element, whatever its strings hold.

    Args:
        value: for JSON, without NaN and infinity.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def source_hash(text):
    """Return what names a script or style in a Content-Security-Policy: 'sha256-…'."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
