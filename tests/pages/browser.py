"""Chromium without a window, spoken to through its DevTools protocol over two pipes: no driver, no port.

    with Browser() as browser:
        page = browser.open("file:///.../report.html", width=1280, dark=False)
        page.evaluate("document.title"), page.problems, page.screenshot(path)

Messages are JSON ended by a zero byte, to the browser's descriptor 3 and from its descriptor 4 (https://chromedevtools.github.io/devtools-protocol/).
"""
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60  # seconds for one answer


def found():
    """The path of the browser, or None."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser process; `open` gives pages."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        ours_in, self.to = os.pipe()
        self.back, ours_out = os.pipe()
        command = [found(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                   "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}"]

        def arrange():  # in the child: what we write is its 3, what we read its 4
            a, b = os.dup(ours_in), os.dup(ours_out)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.process = subprocess.Popen(command, preexec_fn=arrange, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(ours_in)
        os.close(ours_out)
        self.buffer, self.number, self.events = b"", 0, []
        return self

    def __exit__(self, *_):
        os.close(self.to)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.back)
        self.profile.cleanup()

    def ask(self, method, session=None, **params):
        """The result of one command; events that come before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            if not select.select([self.back], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self.back, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        answer = json.loads(message)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def until(self, method, session):
        """Wait for an event."""
        while not any(event["method"] == method and event.get("sessionId") == session for event in self.events):
            self._next()

    def open(self, url, width=1280, height=900, dark=False):
        """A page, loaded."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable", session)
        self.ask("Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.ask("Page.navigate", session, url=url)
        self.until("Page.loadEventFired", session)
        return Page(self, session)


class Page:
    """A loaded page."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        answer = self.browser.ask("Runtime.evaluate", self.session, expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "an error in the page"))
        return answer["result"].get("value")

    @property
    def problems(self):
        """What was logged or thrown, and every address that was asked for beside the page itself."""
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        found = []
        for event in mine:
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"]["text"])
            elif event["method"] == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif event["method"] == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:", "about:")):
                found.append("asked for " + params["request"]["url"])
        return found

    def screenshot(self, path):
        """The whole page as a PNG."""
        data = self.browser.ask("Page.captureScreenshot", self.session, format="png", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))


if __name__ == "__main__":  # is there a browser?
    sys.exit(found() is None)
