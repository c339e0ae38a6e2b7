"""A headless Chromium, driven through its debugging pipe with the standard library alone."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(
    not CHROMIUM, reason="needs Chromium (Debian: apt-get install chromium)")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--force-color-profile=srgb", "--remote-debugging-pipe")
PATIENCE = 60  # seconds for one answer


class Page:
    """One tab.

    Attributes:
        errors: list of str: what the console was told of errors, and uncaught exceptions.
        requests: list of str: every address that was asked for.
    """

    def __init__(self, pipes):
        self._from, self._to = pipes
        self._number, self._left, self._session = 0, b"", None
        self.errors, self.requests = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target,
                                   flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path):
        """Open a file, and wait until it is loaded."""
        self._call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def look(self, width=1280, height=900, dark=False, scale=1):
        """Set the size of the window, in CSS pixels, and the colours that are preferred."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=scale, mobile=width < 600)
        self._call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, code):
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = self._call("Runtime.evaluate", expression=code, awaitPromise=True,
                            returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{code}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition, seconds=30):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)

    def screenshot(self, path):
        """Write the whole page as PNG."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        picture = self._call("Page.captureScreenshot", captureBeyondViewport=True,
                             clip={**size, "scale": 1})["data"]
        path.write_bytes(base64.b64decode(picture))

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._notice(answer.get("method"), answer.get("params", {}))

    def _receive(self):
        while b"\0" not in self._left:
            assert select.select([self._from], [], [], PATIENCE)[0], "Chromium does not answer"
            part = os.read(self._from, 1 << 20)
            assert part, "Chromium has ended"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _notice(self, event, about):
        if event == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(str(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])


@contextlib.contextmanager
def chromium(folder):
    """Start Chromium with a profile in a folder and yield a `Page`; it is ended afterwards."""
    its_in, our_out = os.pipe()
    our_in, its_out = os.pipe()

    def take_places():  # Chromium reads from descriptor 3 and writes to 4
        first, second = os.dup(its_in), os.dup(its_out)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"], preexec_fn=take_places,
        close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    os.close(its_in)
    os.close(its_out)
    try:
        yield Page((our_in, our_out))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        os.close(our_in)
        os.close(our_out)
