"""Headless Chromium over its debugging pipe, with the standard library only.

The DevTools protocol speaks JSON messages that end with a zero byte, read from file
descriptor 3 and written to 4.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
SECONDS = 60  # to wait for an answer
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36}


class Page:
    """A page in a browser, with the errors of its console and the addresses asked for."""

    def __init__(self, to_browser, from_browser):
        self.errors, self.requests = [], []
        self._to, self._from, self._buffer = to_browser, from_browser, b""
        self._number, self._session = 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target,
                                   flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def look(self, width, height=800, dark=False):
        """Set the size of the window; below 600 pixels it is a phone with touch."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=width < 600)
        self._call("Emulation.setTouchEmulationEnabled", enabled=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path, width=1100, height=800, dark=False):
        """Load a file in a window as of `look`, and wait until that is done."""
        self.point(0, 0)
        self.look(width, height, dark)
        self._call("Page.navigate", url="about:blank")
        self.errors.clear()
        self.requests.clear()
        self._call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script):
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True,
                            awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise AssertionError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, script):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(AssertionError):  # asked while the page was replaced
                if self.evaluate(script):
                    return
            time.sleep(0.05)
        raise AssertionError(f"not within {SECONDS} s: {script}")

    def point(self, x, y):
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def touch(self, *points):
        """Touch the window at points (x, y), or end that without any."""
        self._call("Input.dispatchTouchEvent", type="touchStart" if points else "touchEnd",
                   touchPoints=[{"x": x, "y": y} for x, y in points])

    def press(self, key):
        for kind in ("rawKeyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                       windowsVirtualKeyCode=KEYS[key])

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        until = time.monotonic() + SECONDS
        while (answer := self._read(until)).get("id") != self._number:
            self._note(answer.get("method"), answer.get("params", {}))
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self, until):
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"Chromium did not answer within {SECONDS} s")
            part = os.read(self._from, 2**20)
            if not part:
                raise AssertionError("Chromium ended")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event, content):
        if event == "Network.requestWillBeSent":
            address = content["request"]["url"]
            if not address.startswith(("data:", "about:", "blob:")):
                self.requests.append(address)
        elif event == "Runtime.exceptionThrown" or "error" in (
                content.get("type"), content.get("entry", {}).get("level")):  # of the console
            self.errors.append(json.dumps(content))


@contextlib.contextmanager
def chromium():
    """Start a browser with a profile of its own; yields an empty `Page`."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def give_pipes():  # in the child, before it becomes Chromium
        spare_in, spare_out = os.dup(theirs_in), os.dup(theirs_out)  # neither is 3 or 4
        os.dup2(spare_in, 3)
        os.dup2(spare_out, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
                   f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, preexec_fn=give_pipes, close_fds=False,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_out, ours_in)
        finally:
            process.kill()
            process.wait()
            os.close(ours_in)
            os.close(ours_out)
