"""A headless Chromium that opens a page, and tells what happened: requests, complaints, and what a script finds there.

Spoken to by the DevTools protocol, whose scripts the page's own policy does not hold back.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.oracle.browser import chromium

_PATIENCE_S = 60.0
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


class Tab:
    """One open page. `requests` are the URLs that it asked for, but for those that its policy stopped; `complaints`
    what the browser had to say about it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._requests: dict[str, str] = {}
        self.complaints: list[str] = []
        self._socket, self._ids = socket, itertools.count(1)
        self._loaded = False

    @property
    def requests(self) -> list[str]:
        """In their order."""
        return list(self._requests.values())

    async def open(self, page: Path | str) -> None:
        """Open the file or URL, and wait until it is loaded."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        self._loaded = False
        await self.call("Page.navigate", url=page if isinstance(page, str) else page.absolute().as_uri())
        while not self._loaded:
            self._note(await self._receive())

    async def value(self, script: str) -> Any:
        """What the script is worth."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def look(self, *, width: int, dark: bool = False, printed: bool = False) -> bytes:
        """A picture of the whole page (PNG), on a screen of that width."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        await self.call(
            "Emulation.setEmulatedMedia",
            media="print" if printed else "screen",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self._receive()).get("id") != number:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    async def _receive(self) -> Any:
        return await self._socket.receive_json(timeout=_PATIENCE_S)

    def _note(self, message: Any) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self._requests[parameters["requestId"]] = parameters["request"]["url"]
        elif method == "Network.loadingFailed" and parameters.get("blockedReason") == "csp":
            del self._requests[parameters["requestId"]]
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif method in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
            self.complaints.append(str(parameters))
        elif method == "Page.loadEventFired":
            self._loaded = True


@asynccontextmanager
async def opened(page: Path | str, profile: Path) -> AsyncIterator[Tab]:
    """The file or URL, open in a browser of its own with that (new) folder."""
    program = chromium()
    assert program is not None
    command = [program, *_OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null)
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                targets = [one for one in await response.json(content_type=None) if one["type"] == "page"]
            async with session.ws_connect(targets[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                await tab.open(page)
                yield tab
    finally:
        process.terminate()
        await process.wait()


async def _port(file: Path) -> int:
    """Where it listens, once it does."""
    async with asyncio.timeout(_PATIENCE_S):
        while not (file.exists() and "\n" in (text := file.read_text())):
            await asyncio.sleep(0.05)
    return int(text.splitlines()[0])
