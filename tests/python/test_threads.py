# SPDX-License-Identifier: BSD-3-Clause
"""Handles that one thread closes while others are in calls with them: whoever comes too late is told, and the last one
out frees. Each scene runs in a process of its own, since what it looks for ends a process."""

import os
import subprocess
import sys

import tap

SLOW = float(os.environ.get("DT2_TEST_SLOW", "1"))  # how many times as long all takes: sanitizers
SECONDS = float(os.environ.get("DISTORCH2_STRESS_SECONDS", "1.5"))

BEGIN = r"""
import random, sys, threading, time
import distorch2
from distorch2 import BusyError, Catalog, Context, Devices, File, FullError, GoneError, UsageError

path, seconds, folder, slow = sys.argv[1], float(sys.argv[2]), sys.argv[3], float(sys.argv[4])
sys.setswitchinterval(1e-5)
calls = refusals = 0
wrong = []

def use(*functions):
    '''Calls them in turn until one says that its handle is closed, which nothing but UsageError says.'''
    global calls, refusals
    try:
        while True:
            for function in functions:
                function()
                calls += 1
    except (GoneError, UsageError) as refused:
        if "closed" not in str(refused) and not isinstance(refused, GoneError):
            wrong.append(repr(refused))
        refusals += 1
    except BaseException as other:
        wrong.append(repr(other))

def turn(close, *functions, threads=3):
    running = [threading.Thread(target=use, args=functions) for _ in range(threads)]
    for thread in running:
        thread.start()
    time.sleep(random.random() * 0.004 * slow)
    close()
    for thread in running:
        thread.join(60)
        assert not thread.is_alive(), "a thread never came back"

def turns(one):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not wrong:
        one()
    assert not wrong, wrong[:3]
    print(calls, refusals)
"""

SCENES = {
    "files": r"""
def one():
    file = File(path)
    largest = max(range(len(file.tensors)), key=lambda i: file.tensors[i].bytes)
    def facts():
        file.path, file.family, file.traits, file.total_bytes, file.find(file.tensors[0].name)
        file.__dict__.pop("metadata", None), file.__dict__.pop("blocks", None)
        file.metadata, file.blocks
    turn(file.close, lambda: file.read(largest), facts, lambda: file.stored("f32").close())
turns(one)
""",
    "devices": r"""
with Context() as context, File(path) as file:
    document = context.devices().json()
    def one():
        devices = Devices.parse(document)
        turn(devices.close, devices.json, lambda: (devices["cpu"], devices.budgets, devices.unusable, devices.default),
             lambda: distorch2.make_plan(devices, file, compute_device="cpu"))
    turns(one)
""",
    "catalogues": r"""
def one():
    catalog = Catalog(comfyui=folder)
    turn(catalog.close, catalog.refresh, lambda: (list(catalog), catalog.folders), lambda: catalog.resolve(path))
turns(one)
""",
    "models": r"""
with Context() as context:
    def one():
        model = context.load(path, compute_device="cpu", name="m")
        tensor = model.tensor(0)
        def borrowed():
            with model.borrow():
                pass
        def facts():
            for name in ("plan", "statistics", "_infos", "_indices", "blocks"):
                model.__dict__.pop(name, None)
            model.plan, model.statistics, model.blocks, model.name, tensor.device, tensor.native()
        turn(model.close, tensor.read, facts, borrowed, tensor.__dlpack__)
        for each in context.models:
            each.unload(wait=True, timeout=30)
    turns(one)
""",
    "sessions": r"""
with Context() as context:
    two = "opencl:0" in [device.name for device in context.devices()]
    spread = "cpu,30%;opencl:0,*" if two else "cpu,*"
    model = context.load(path, compute_device="cpu", expert_mode_allocations=spread)
    def one():
        session = model.session()
        def acquire():
            which = random.choice(model.blocks)
            try:
                with session.acquire(which) as held:
                    held[model.tensors.at(which.tensors[0]).name].native()
            except FullError:  # by what the other threads hold
                pass
        def close():
            while True:
                try:
                    return session.close()
                except BusyError as busy:  # a block was held, and no call in flight
                    assert "held" in str(busy), busy
        turn(close, acquire, lambda: (session.info, session.statistics(), session.warnings, session.next_pass()))
    turns(one)
    for _ in range(500):  # what was held when it was closed is given back by the thread that held it
        try:
            model.unload()
            break
        except BusyError:
            time.sleep(0.01)
    model.unload()
""",
    "contexts": r"""
def one():
    context = Context()
    devices = context.devices()
    model = context.load(path, compute_device="cpu", name="m")
    def load():
        try:
            with context.load(path, compute_device="cpu") as other:
                other.tensor(0).read()
        except BusyError:  # another thread's load ejects it, or cannot eject what is being read
            pass
    def close():
        while True:
            try:
                return context.close()
            except BusyError:
                time.sleep(0.001)
    turn(close, load, context.devices, lambda: context.plan(path, compute_device="cpu"), lambda: context.models)
    assert context.closed and not model.loaded
turns(one)
""",
}


def run(program, *arguments):
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, "\n".join([f"status {done.returncode}", *lines[:40]])
    return done.stdout


def comfyui():
    folder = tap.scratch("comfyui")
    os.makedirs(f"{folder}/models/controlnet", exist_ok=True)
    for i in range(20):
        if not os.path.exists(f"{folder}/models/controlnet/{i}.safetensors"):
            os.symlink(tap.layout("tiny"), f"{folder}/models/controlnet/{i}.safetensors")
    return folder


def stress(scene):
    calls, refusals = map(int, run(BEGIN + SCENES[scene], tap.layout("tiny"), str(SECONDS), comfyui(), str(SLOW)).split())
    assert calls > 10 and refusals > 2, (calls, refusals)
    tap.count(calls, f"calls beside a thread that closes {scene}")


def test_files_are_closed_beside_their_users():
    stress("files")


def test_devices_are_closed_beside_their_users():
    stress("devices")


def test_catalogues_are_closed_and_refreshed_beside_their_users():
    stress("catalogues")


def test_models_are_closed_beside_their_users():
    stress("models")


def test_sessions_are_closed_beside_their_users():
    stress("sessions")


def test_contexts_are_closed_beside_their_users():
    stress("contexts")


WITHIN = r"""
import sys, threading
import distorch2
from distorch2 import BusyError, Context, File

path = sys.argv[1]
context, file = Context(), File(path)
said = []
def close(_):
    for handle in (context, file):
        try:
            handle.close()
        except BusyError as busy:
            said.append(str(busy))
model = context.load(file, compute_device="cpu", progress=close, verify=True)
assert said and "within a call" in said[0] and "context" in said[0] and "file" in said[1], said
assert not context.closed and not file.closed and model.tensor(0).read() == file.read(model.tensor(0).name)

# In the progress of a session's pass its context and it are in use as well.
said.clear()
with model.session() as session:
    def close_session(_):
        for handle in (session, context):
            try:
                handle.close()
            except BusyError as busy:
                said.append(str(busy))
    session.verify(file, progress=close_session)
    assert not session.closed
    assert all("within a call" in each for each in said), said

# Another thread may close it in the middle: it does not wait, and the load ends.
model.unload()
def elsewhere(_):
    if not context.closed:
        thread = threading.Thread(target=context.close)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
try:
    context.load(file, compute_device="cpu", progress=elsewhere, verify=True)
except distorch2.UsageError as refused:
    assert f"closed while it loaded {path}" in str(refused), refused
else:
    raise AssertionError("it was loaded into a context that is closed")
assert context._use.pointer is None  # and given back with the load
"""


def test_what_is_closed_from_within_its_own_call_is_busy():
    run(WITHIN, tap.layout("tiny"))


INTERRUPTED = r"""
import random, signal, sys, time
from distorch2 import Context
signal.signal(signal.SIGALRM, signal.default_int_handler)
with Context() as context:
    tensor = context.load(sys.argv[1], compute_device="cpu").tensor(0)
    for _ in range(2000):
        try:
            end = time.monotonic() + 5
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 5e-4))
            while time.monotonic() < end:
                tensor.native()
            raise AssertionError("an interrupt was lost")
        except KeyboardInterrupt:
            pass
"""


def test_calls_that_an_interrupt_ends_are_over():
    run(INTERRUPTED, tap.layout("tiny"))


if __name__ == "__main__":
    tap.run_tests()
