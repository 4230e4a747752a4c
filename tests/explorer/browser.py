"""Chromium without a window, driven by its DevTools protocol through a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_PATIENCE = 60  # seconds for an answer


class Browser:
    """One tab; `problems` are messages of its console, `requests` the addresses that it asked."""

    def __init__(self, folder, size=(1400, 1000), dark=False):
        own_in, theirs_out = os.pipe()
        theirs_in, own_out = os.pipe()
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-extensions", "--disable-gpu",
            "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
            "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank",
        ]  # fmt: skip
        # The browser reads from 3 and writes to 4.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = own_in, own_out
        self._count, self._rest, self._messages = 0, b"", deque()
        self._session = None
        self.problems, self.requests = [], []
        self._attach(folder, size, dark)

    def _attach(self, folder, size, dark):
        (target,) = [
            each for each in self.ask("Target.getTargets")["targetInfos"] if each["type"] == "page"
        ]
        found = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.ask(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder / "saved")
        )
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        width, height = size
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.set_dark(dark)

    def set_dark(self, dark):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def ask(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _next(self):
        while not self._messages:
            ready, _, _ = select.select([self._in], [], [], _PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer.")
            read = os.read(self._in, 2**20)
            if not read:
                raise ConnectionError("the browser has ended.")
            *whole, self._rest = (self._rest + read).split(b"\0")
            self._messages.extend(json.loads(each) for each in whole)
        return self._messages.popleft()

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(str([each.get("value") for each in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            if "GL Driver Message" not in params["entry"]["text"]:  # of drawing without a card
                self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, path):
        """Open a file, and wait until the page says that it is ready; return the seconds."""
        start = time.perf_counter()
        self.ask("Page.navigate", url=path.as_uri())
        self.wait("document.documentElement?.dataset.ready === 'yes'")
        return time.perf_counter() - start

    def run(self, script):
        """The value of an expression."""
        found = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def wait(self, condition, seconds=_PATIENCE):
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"never: {condition}; {self.problems}")
            time.sleep(0.02)

    def move(self, x, y):
        self._mouse("mouseMoved", x, y)

    def click(self, x, y):
        self.drag([(x, y)])

    def drag(self, path):
        """Press at the first place, move through the others, release at the last one."""
        self._mouse("mouseMoved", *path[0])
        self._mouse("mousePressed", *path[0], button="left", clickCount=1)
        for place in path[1:]:
            self._mouse("mouseMoved", *place, button="left", buttons=1)
        self._mouse("mouseReleased", *path[-1], button="left", clickCount=1)

    def _mouse(self, kind, x, y, **options):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **options)

    def press(self, key):
        codes = {"Enter": 13, "Escape": 27, " ": 32, "Tab": 9,
                 "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = "Space" if key == " " else key
        own = {"key": key, "windowsVirtualKeyCode": codes[key], "code": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **own)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **own)

    def centre(self, selector):
        """Where an element is, brought into view."""
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def picture(self, path, whole=False):
        """A screenshot, of the whole page or of what is in view."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self):
        try:
            self._session = None
            self.ask("Browser.close")
        finally:
            os.close(self._out)
            os.close(self._in)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
