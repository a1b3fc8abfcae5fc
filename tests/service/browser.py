"""A real Chromium that opens one page, takes keys and answers questions, over its own debugging port."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.calls = socket, 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def value(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, code: str, *, down: bool) -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown" if down else "keyUp", code=code, key=code)

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """The value of ``script`` once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.value(script)):
            assert time.monotonic() < end, f"never true: {script}; the page says {self.value('document.body.innerText')}"
            time.sleep(0.05)
        return value


@contextmanager
def opened(url: str, folder: Path, width_px: int = 1280, height_px: int = 860, scheme: str = "dark") -> Iterator[Tab]:
    """The page at ``url``; skips the test where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'profile'}",
    ]
    process = subprocess.Popen([program, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file, end = folder / "profile" / "DevToolsActivePort", time.monotonic() + 60
        while not (port_file.is_file() and port_file.read_text().count("\n")):
            assert time.monotonic() < end and process.poll() is None, "the browser did not start"
            time.sleep(0.05)
        with urlopen(f"http://127.0.0.1:{port_file.read_text().split()[0]}/json", timeout=30) as answer:
            address = next(row["webSocketDebuggerUrl"] for row in json.load(answer) if row["type"] == "page")
        with connect(address, max_size=2**26) as socket:
            tab = Tab(socket)
            size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": width_px < 500}
            tab.call("Emulation.setDeviceMetricsOverride", **size)
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            tab.call("Page.enable")
            tab.call("Page.navigate", url=url)
            yield tab
    finally:
        process.terminate()
        process.wait(timeout=30)
