"""Drives headless Chromium over its debugging pipe, with the standard library only.

    with open_page(path, width=390, dark=True) as page:
        page.evaluate("document.title")

The DevTools protocol speaks JSON messages that end with a zero byte, read from
file descriptor 3 and written to 4.
"""

import base64
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


class Page:
    """A page in a browser.

    Attributes:
        errors: list of str, what the console was told of errors, and exceptions.
        requests: list of str, addresses that were asked for, without those of data.
    """

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
        """Set the size of the window in pixels, and whether the reader prefers dark pages.

        Below 600 pixels it is a phone with touch.
        """
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=width < 600)
        self._call("Emulation.setTouchEmulationEnabled", enabled=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path):
        """Load a file and wait until that is done."""
        self._call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script):
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True,
                            awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait_for(self, script, seconds=SECONDS):
        """Wait until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(AssertionError):  # asked while the page was replaced
                if self.evaluate(script):
                    return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {script}")

    def mouse(self, kind, x, y):
        """Send a "mouseMoved", "mousePressed" or "mouseReleased" at pixels of the window."""
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def touch(self, kind, x=0, y=0):
        """Send a "touchStart", "touchMove" or "touchEnd" at pixels of the window."""
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def press(self, key):
        """Press and release a key such as "ArrowRight"."""
        code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36,
                "End": 35, "Enter": 13, " ": 32, "Tab": 9}.get(key, 0)
        for kind in ("rawKeyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                       windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=True):
        """Write a PNG of the whole page, or of the window."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"clip": {**size, "scale": 1}} if whole else {}
        picture = self._call("Page.captureScreenshot", captureBeyondViewport=whole, **clip)
        Path(path).write_bytes(base64.b64decode(picture["data"]))

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
            self._note(answer)
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

    def _note(self, event):
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(" ".join(str(each.get("value", each.get("description")))
                                        for each in told["args"]))
        elif event.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            address = told["request"]["url"]
            if not address.startswith(("data:", "about:", "blob:")):
                self.requests.append(address)


@contextlib.contextmanager
def open_page(path, width=1100, height=800, dark=False):
    """Open an HTML file in a browser of its own; yields a `Page`.

    Args:
        path: the file.
        width, height, dark: see `Page.look`.
    """
    with chromium() as page:
        page.look(width, height, dark)
        page.open(path)
        yield page


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
