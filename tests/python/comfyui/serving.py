# SPDX-License-Identifier: BSD-3-Clause
"""ComfyUI's own server, started with node folders of a test in it, spoken to over HTTP, and ended with the test."""

import atexit
import base64
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import tap

ROOT = os.environ.get("DISTORCH2_COMFYUI", "")
PACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pack")
NODES = f"{tap.SOURCE}/python/comfyui"
PATIENCE = 600
"""Seconds for whatever takes seconds on a machine that has nothing else to do."""


class Refused(Exception):
    """The server did not take a workflow: what is wrong, by node and input."""

    def __init__(self, answer):
        super().__init__(answer["error"].get("message", ""))
        self.inputs = {
            each["extra_info"].get("input_name", ""): f"{each['message']}: {each['details']}"
            for node in answer.get("node_errors", {}).values()
            for each in node["errors"]
        }
        """From an input's name to what is said of it."""


class Failed(Exception):
    """A workflow ended early: the error of a node, or an interrupt."""


def plain():
    """The environment without what leads to this tree and what was built of it."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DISTORCH2"))}


def _dies_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """A server of its own: free port, loopback, and a folder for everything that it reads and writes. ``root``: another
    checkout; ``python``: another environment, which has nothing of ours from here."""

    def __init__(
        self,
        *options,
        folder="server",
        nodes=(("distorch2", NODES), ("distorch2-tests", PACK)),
        env=None,
        root=ROOT,
        python=None,
    ):
        self.base = tap.scratch(folder)
        self.root, self.python = root, python
        for each in ("custom_nodes", "models/controlnet", "input", "output", "user", "temp"):
            os.makedirs(f"{self.base}/{each}", exist_ok=True)
        for name, path in nodes:
            if not os.path.lexists(f"{self.base}/custom_nodes/{name}"):
                os.symlink(os.path.abspath(path), f"{self.base}/custom_nodes/{name}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = f"{self.base}/log"
        self.process = self._start(options, env or {})
        atexit.register(self.stop)
        self._wait_until_it_answers()

    def _start(self, options, env):
        command = [self.python or sys.executable, "main.py", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += [] if "DISTORCH2_TESTS_AS_GPU" in env else ["--cpu"]
        command += ["--disable-auto-launch", "--disable-api-nodes", "--base-directory", self.base]
        command += ["--database-url", f"sqlite:///{self.base}/user/comfyui.db", *options]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                # One thread: what is small is no faster with more, and a busy machine makes them wait for one another.
                env={"OMP_NUM_THREADS": "1", **(plain() if self.python else os.environ), "HOME": self.base, **env},
                preexec_fn=_dies_with_parent,
            )

    def _wait_until_it_answers(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        raise AssertionError(f"ComfyUI does not answer:\n{self.said()[-4000:]}")

    def said(self):
        """Everything that it wrote so far."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    # -- HTTP --

    def _ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def get(self, path):
        return self._ask(path)

    def post(self, path, body):
        return self._ask(path, body)

    def queue(self, prompt):
        """Queues a workflow; its id."""
        try:
            return self.post("/prompt", {"prompt": prompt, "client_id": "tests"})["prompt_id"]
        except urllib.error.HTTPError as refused:
            raise Refused(json.load(refused)) from None

    def wait(self, number):
        """What a workflow's nodes gave for people to see, by node; or its error is raised."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = self.get(f"/history/{number}").get(number)
            if found is not None:
                return _outputs(found)
            assert self.process.poll() is None, f"ComfyUI ended:\n{self.said()[-4000:]}"
            time.sleep(0.02)
        raise AssertionError("a workflow does not end")

    def run(self, prompt):
        return self.wait(self.queue(prompt))

    def free(self):
        """What the button "Unload models" does, and waits until it is done."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    # -- memory --

    def _status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

    def rss(self):
        """MiB that it has now."""
        return self._status("VmRSS:")

    def peak(self):
        """MiB that it had at most since :meth:`forget_peak`."""
        return self._status("VmHWM:")

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def _outputs(history):
    for kind, said in history["status"]["messages"]:
        if kind == "execution_error":
            raise Failed(said["exception_message"].strip())
        if kind == "execution_interrupted":
            raise Failed("interrupted")
    return history["outputs"]


def latents(outputs):
    """The latents that a workflow handed out, in the order of its nodes: what they are, and their bits."""
    found = [outputs[node]["latents"] for node in sorted(outputs, key=int) if "latents" in outputs[node]]
    return [(shape, base64.b64decode(bits)) for shape, bits in found]
