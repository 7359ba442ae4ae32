# SPDX-License-Identifier: BSD-3-Clause
"""The package in a process: signals, threads, fork, and the end."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time

import distorch2
import tap
from distorch2 import Context, File

MEBIBYTE = 1 << 20


signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs tests in the background has them ignore it


def large(mebibytes):
    """A sparse model of so many tensors of 1 MiB."""
    path = tap.scratch(f"large-{mebibytes}.safetensors")
    header = json.dumps(
        {
            f"layer.{i}.weight": {
                "dtype": "U8",
                "shape": [MEBIBYTE],
                "data_offsets": [i * MEBIBYTE, (i + 1) * MEBIBYTE],
            }
            for i in range(mebibytes)
        }
    ).encode()
    with open(path, "wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.truncate(8 + len(header) + mebibytes * MEBIBYTE)
    return path


def child(program, *arguments):
    """Runs a program in Python in a process of its own; it must end well and silently."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_an_interrupt_ends_a_load():
    path = large(256)
    with Context() as context:
        # The library calls Python some ten times a second, and there it is noticed, with or without a callback of ours.
        for progress in (None, lambda _: None):
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
            begin = time.monotonic()
            with tap.raises(KeyboardInterrupt):
                context.load(path, compute_device="cpu", verify=True, progress=progress)
                time.sleep(10)  # it was faster than the signal
            assert time.monotonic() - begin < 9
            assert [model.name for model in context.models] in ([], [path])
            for model in context.models:
                model.unload()
        context.load(path, compute_device="cpu")


def test_an_interrupt_in_progress_cancels():
    def interrupt(_):
        signal.raise_signal(signal.SIGINT)

    with Context() as context:
        with tap.raises(KeyboardInterrupt):
            context.load(tap.layout("tiny"), compute_device="cpu", progress=interrupt)
        assert context.models == []


def test_other_threads_run_during_a_load():
    path = large(256)
    with Context() as context:
        loading = threading.Thread(target=context.load, args=(path,), kwargs={"compute_device": "cpu"})
        turns = 0
        loading.start()
        while loading.is_alive():
            time.sleep(0.001)
            turns += 1
        assert turns > 3, turns
        assert len(context.models) == 1


def test_threads_share_a_model():
    with Context() as context, File(tap.layout("tiny")) as file, context.load(file, compute_device="cpu") as model:
        wrong = []

        def read():
            for name, tensor in model.tensors.items():
                if tensor.read() != file.read(name):
                    wrong.append(name)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


FORK = """
import gc, os, sys, warnings, distorch2
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
context = distorch2.Context()
file = distorch2.File(sys.argv[1])
devices = context.devices()
model = context.load(file, compute_device="cpu")
session = model.session()
tensor = model.tensor(0)
held = session.acquire(0)
catalog = distorch2.Catalog(comfyui="/nowhere")
borrowed = model.borrow()
borrowed.__enter__()
uses = [
    context.devices, lambda: context.load(file), lambda: context.plan(file), lambda: context.models, context.close,
    lambda: file.path, file.close, devices.json, model.unload, lambda: model.loaded, model.close, session.park,
    session.close, lambda: session.info, lambda: session.acquire(0), held.release, tensor.read, tensor.native,
    tensor.__dlpack__, tensor.__dlpack_device__, lambda: len(catalog), catalog.refresh, context.__enter__,
]
pid = os.fork()
if pid == 0:
    for i, use in enumerate(uses):
        try:
            use()
        except distorch2.ForkError as refused:
            assert "fork" in str(refused) and "spawn" in str(refused), refused
        else:
            print("not refused:", i, flush=True)
            os._exit(1)
    borrowed.__exit__(None, None, None)
    # A context of the child's own works.
    with distorch2.Context() as own, own.load(sys.argv[1], compute_device="cpu") as again:
        again.tensor(0).read()
    del context, file, devices, model, session, tensor, held, catalog, uses
    gc.collect()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
tensor.read()
borrowed.__exit__(None, None, None)
held.release()
session.close()
model.unload()
"""


def test_a_forked_child_is_refused():
    if "tsan" in os.environ.get("LD_PRELOAD", ""):
        raise tap.Skip("ThreadSanitizer does not follow a child that starts threads")
    child(FORK, tap.layout("tiny"))


END = """
import builtins, sys, distorch2
context = distorch2.Context(log=lambda level, line: None)
allocations = "cpu,30%;opencl:0,*" if "opencl:0" in [d.name for d in context.devices()] else "cpu,*"
model = context.load(sys.argv[1], compute_device="cpu", expert_mode_allocations=allocations)
"""
ENDS = {
    "all left open": "session = model.session(); held = session.acquire(model.blocks[-1]); session.acquire(0)",
    "in a cycle": "cycle = [model]; cycle.append(cycle); model.itself = model; context.itself = context",
    "an array at large": "builtins.kept = model.tensor(0).__dlpack__()",
    "an array of a window": "s = model.session(); h = s.acquire(model.blocks[-1])\n"
    "builtins.kept = [t.__dlpack__() for t in h.values()]; h.release()",
    "array, and the rest gone": "kept = model.tensor(0).__dlpack__(); del model, context",
    "an exception": "sys.excepthook = lambda *_: None\nsession = model.session()\nraise SystemExit(0)",
    "the context gone first": "session = model.session(); del context",
}


def test_the_interpreter_ends_cleanly():
    for name, program in ENDS.items():
        try:
            child(END + program, tap.layout("tiny"))
        except AssertionError as wrong:
            raise AssertionError(f"{name}: {wrong}") from None


def resident():
    """RssAnon of this process in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


def test_everything_is_given_back():
    """Handles that are dropped rather than closed: their memory is free again."""
    before = resident()
    for _ in range(4):
        context = Context()
        model = context.load(large(64), compute_device="cpu")
        session = model.session()
        assert resident() - before > 60 * MEBIBYTE
        del context, model, session
        gc.collect()
        assert resident() - before < 40 * MEBIBYTE


def test_no_import_of_torch_unless_it_is_asked_for():
    child("import sys, distorch2; assert 'torch' not in sys.modules and 'numpy' not in sys.modules")


def test_every_module_says_what_it_is_and_is_typed():
    import inspect

    for name in distorch2.__all__:
        thing = getattr(distorch2, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                function = getattr(member, "fget", member)
                if inspect.isfunction(function) and not key.startswith("_"):
                    assert "return" in function.__annotations__, f"{name}.{key}"


if __name__ == "__main__":
    tap.run_tests()
