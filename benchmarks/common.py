"""What the benchmarks share."""

import argparse
import json
import os
import platform
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def parser(text):
    """Return a parser with the option that every benchmark has."""
    found = argparse.ArgumentParser(description=text)
    found.add_argument("--json", type=Path, help="write the figures to this file")
    return found


def machine():
    """Return a line about the processor and the packages."""
    import keras
    import tensorflow as tf

    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text()
                  .splitlines() if line.startswith("model name")), platform.processor())
    return (f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, "
            f"TensorFlow {tf.__version__}, Keras {keras.__version__}")


def watch_memory():
    """Watch the private (anonymous) memory of this process from now on.

    Returns:
        dict whose "bytes" are the most that there were so far.
    """
    peak = {"bytes": 0}

    def watch():
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    peak["bytes"] = max(peak["bytes"], 1024 * int(line.split()[1]))
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    return peak


def report(title, columns, rows, options, **more):
    """Print a Markdown table and write the figures as JSON if asked to."""
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)
    if options.json:
        figures = {"title": title, "columns": columns, "rows": rows, **more}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
