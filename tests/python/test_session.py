# SPDX-License-Identifier: BSD-3-Clause
"""Sessions from Python: blocks reach the compute device, and what is asked for is given back."""

import contextlib
import ctypes

import distorch2
import tap
from distorch2 import Context, File, Span

SPREAD = "cpu,30%;opencl:0,30%;opencl:1,*"


@contextlib.contextmanager
def loaded(**options):
    with Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
        options = {"compute_device": "cpu", "expert_mode_allocations": SPREAD, **options}
        with File(tap.layout("tiny")) as file, context.load(file, **options) as model:
            yield file, model


def bytes_at(tensor):
    return ctypes.string_at(tensor.native().handle, tensor.nbytes)


def test_every_block_is_there_while_it_is_held():
    with loaded() as (file, model), model.session() as session:
        info = session.info
        assert info.compute_device == session.compute_device == "cpu"
        streamed = [block for block in model.blocks if session.streams(block)]
        assert len(streamed) == info.streamed_blocks > 2
        assert sum(block.bytes for block in streamed) == info.pass_bytes
        assert 0 < info.window_bytes <= model.plan.window_bytes and not info.parked
        for _ in range(3):
            for block in model.blocks:
                with session.acquire(block) as held:
                    assert list(held) == [file.tensors[i].name for i in block.tensors]
                    for name, tensor in held.items():
                        assert tensor.device == "cpu"
                        assert bytes_at(tensor) == file.read(name), name
            session.next_pass()
        stats = session.statistics()
        assert stats.passes == 3 and stats.acquires == 3 * len(streamed) == stats.hits + stats.stalls, stats
        assert stats.bytes >= 3 * (info.pass_bytes - info.window_bytes) and stats.window_bytes <= info.window_bytes
        last = session.statistics(Span.LAST_PASS)
        assert last.passes == 1 and last.acquires == len(streamed)
        assert session.statistics(Span.THIS_PASS).acquires == 0
        assert session.warnings == ()


def test_what_streams_is_verified_where_it_arrives():
    with loaded() as (file, model), model.session() as session:
        seen = []
        assert session.verify(file, seen.append) == session.info.pass_bytes
        assert seen[-1].verifying and seen[-1].done_bytes == seen[-1].total_bytes == session.info.pass_bytes
        assert [each.device for each in seen[-1].devices] == ["cpu"]

        def fail(_):
            raise KeyError("enough")

        with tap.raises(KeyError):
            session.verify(file, fail)
        assert session.verify(file) > 0
        with File(tap.layout("tiny-plain")) as other, tap.raises(distorch2.UsageError):
            session.verify(other)


def test_blocks_are_found_by_index_name_and_tensor():
    with loaded() as (_, model), model.session() as session:
        block = model.blocks[-1]
        tensor = model.tensor(block.tensors[0])
        for which in (block, block.index, block.name, tensor, tensor.name):
            with session.acquire(which, host=True) as held:
                assert held.block == block and tensor.name in held
        with tap.raises(distorch2.NotFoundError):
            session.acquire("no.such.block")
        with tap.raises(IndexError):
            session.acquire(len(model.blocks))


def test_what_is_held_keeps_the_session_and_the_model():
    with loaded() as (_, model):
        session = model.session()
        with tap.raises(distorch2.BusyError):
            model.unload()
        held = session.acquire(model.blocks[-1])
        tensor = next(iter(held.values()))
        with tap.raises(distorch2.BusyError):
            session.close()
        with tap.raises(distorch2.BusyError):
            session.park()
        held.release()
        held.release()
        with tap.raises(distorch2.UsageError):
            tensor.native()
        session.close()
        session.close()
        with tap.raises(distorch2.UsageError, "closed"):
            session.acquire(0)
        with tap.raises(distorch2.UsageError, "closed"):
            tensor.native()


def test_a_session_parks_and_comes_back():
    with loaded() as (file, model), model.session() as session:
        session.park()
        session.park()
        assert session.info.parked and session.info.window_bytes == 0
        with tap.raises(distorch2.BusyError, "park"):
            session.acquire(model.blocks[-1])
        session.unpark()
        with session.acquire(model.blocks[-1]) as held:
            for name, tensor in held.items():
                assert bytes_at(tensor) == file.read(name)


def test_options_are_those_of_the_library():
    with loaded() as (_, model):
        with tap.raises(distorch2.UsageError, "window"):
            model.session(window_bytes=64)
        with model.session() as session:
            least = session.info.largest_bytes
            with tap.raises(distorch2.UsageError):
                session.use_stream(1)
        with model.session(window_bytes=least, staging_bytes="1mb", host_memory="pinned", pinned_bytes="1mb") as session:
            assert session.info.window_bytes == least
            for block in reversed(model.blocks):
                session.acquire(block).release()
        with tap.raises(distorch2.UsageError):
            model.session(stream=1)
        with tap.raises(distorch2.UsageError, "stream"):
            model.session(stream="one")


def test_what_is_evicted_streams_and_comes_back():
    for allocations in (SPREAD, "cpu,*"):
        with loaded(expert_mode_allocations=allocations) as (file, model), model.session() as session:
            before, resident = model.held("cpu"), [block for block in model.blocks if not session.streams(block)]
            assert model.held() >= before > 0 and model.held("cuda:7") == 0
            freed = model.evict("1gb", "cpu")
            assert freed == before - model.held("cpu") > 0
            assert all(session.streams(block) for block in resident if block.bytes)
            for block in model.blocks:
                with session.acquire(block) as held:
                    for name, tensor in held.items():
                        assert bytes_at(tensor) == file.read(name), name
                    if not block.index:
                        with tap.raises(distorch2.BusyError, "in use"):
                            model.restore()
            model.restore()
            assert model.held("cpu") == before and not any(session.streams(block) for block in resident)
            assert model.restore() == 0
            with model.borrow(), tap.raises(distorch2.BusyError, "borrowers"):
                model.evict(1)
            with tap.raises(distorch2.UsageError, "opencl:0", "cpu"):
                model.evict(1, "opencl:0")


def test_two_sessions_run_on_one_model():
    with loaded() as (file, model), model.session() as one, model.session() as two:
        for block in model.blocks:
            with one.acquire(block) as first, two.acquire(model.blocks[-1 - block.index]) as second:
                for held in (first, second):
                    for name, tensor in held.items():
                        assert bytes_at(tensor) == file.read(name)


def test_an_exception_releases_what_was_held():
    with loaded() as (_, model), model.session() as session:
        with tap.raises(ZeroDivisionError), session.acquire(model.blocks[-1]):
            1 / 0
        session.park()


if __name__ == "__main__":
    tap.run_tests()
