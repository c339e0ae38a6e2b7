"""The metrics of real images, kept in the cache: they are the same in every run."""

import contextlib
import hashlib
import json
import math
import re

from gan import __version__
from gan.common.errors import UserError
from gan.common.files import cache_folder, write_text
from gan.evaluate.table import METRICS

NAME = re.compile(r"reference_[0-9a-f]{16}\.json")
KEYS = {"metrics", "left_out"}


def cached_reference(data, features, compute):
    """Return what `compute` returns, from the cache if an earlier process left it there.

    Args:
        data: list of str, whose metrics they are, and of which images.
        features: what images are compared in, dict for JSON.
        compute: function of nothing → (dict of metric → number, dict of metric → reason).

    Returns:
        The two dicts.
    """
    # What another version measured may mean something else.
    key = json.dumps([__version__, data, features], sort_keys=True)
    path = cache_folder() / f"reference_{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    found = read_reference(path)
    if found is None:
        found = compute()
        with contextlib.suppress(OSError, UserError):  # it can be made again
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(dict(zip(("metrics", "left_out"), found, strict=True))))
    return found


def read_reference(path):
    """Return the two dicts of a file in the cache, or None if there is none or it is damaged."""
    try:
        known = json.loads(path.read_text())
        metrics, left_out = known["metrics"], known["left_out"]
        whole = (known.keys() == KEYS and {*metrics, *left_out} <= set(METRICS)
                 and all(math.isfinite(value) for value in metrics.values())
                 and all(isinstance(reason, str) for reason in left_out.values()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return (metrics, left_out) if whole else None
