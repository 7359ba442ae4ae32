# SPDX-License-Identifier: BSD-3-Clause
"""A headless Chromium, spoken to over its debugging protocol."""

import asyncio
import atexit
import base64
import json
import os
import shutil
import subprocess
import time

import aiohttp
import tap
from serving import PATIENCE, _dies_with_parent


def program():
    """Where Chromium is; None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page. Everything waits until it is done."""

    def __init__(self, width=1280, height=800):
        self._number = 0
        self._loop = asyncio.new_event_loop()
        folder = tap.scratch("chromium")
        os.makedirs(folder, exist_ok=True)
        command = [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        command += [f"--window-size={width},{height}", "--hide-scrollbars", "about:blank"]
        with open(f"{folder}/log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_dies_with_parent)
        atexit.register(self.stop)
        until = time.monotonic() + 120
        while not os.path.exists(f"{folder}/DevToolsActivePort"):
            assert time.monotonic() < until and self._process.poll() is None, "Chromium does not start"
            time.sleep(0.2)
        with open(f"{folder}/DevToolsActivePort", encoding="ascii") as file:
            port = int(file.readline())
        self._loop.run_until_complete(self._connect(port))
        self.do("Page.enable")
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    async def _connect(self, port):
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            page = next(each for each in await answer.json() if each["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    def stop(self):
        if not self._session.closed:
            self._loop.run_until_complete(self._session.close())
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    async def _do(self, method, given):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": given})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == self._number:
                return answer
        raise AssertionError("Chromium ended")

    def do(self, method, **given):
        answer = self._loop.run_until_complete(asyncio.wait_for(self._do(method, given), PATIENCE))
        assert "result" in answer, answer
        return answer["result"]

    def value(self, expression):
        """What a JavaScript expression is; a promise is waited for."""
        answer = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=120):
        """Until an expression is true; its value."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                found = self.value(expression)
                if found:
                    return found
            except AssertionError:  # the page is not there yet
                pass
            time.sleep(0.3)
        raise AssertionError(f"not so after {seconds} s: {expression}\n{self.value('document.body.innerText')[:2000]}")

    def open(self, url):
        self.do("Page.navigate", url=url)

    def picture(self, path, **clip):
        clip = {"clip": {**clip, "scale": 1}} if clip else {}
        data = self.do("Page.captureScreenshot", format="png", **clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
