# SPDX-License-Identifier: BSD-3-Clause
"""What the command line can do, from Python: devices, catalogue, files, plans, loads, the registry, errors."""

import json
import os
import subprocess

import distorch2
import tap
from distorch2 import Catalog, Context, Devices, File, Request

SPREAD = "cpu,30%;opencl:0,30%;opencl:1,*"


def need_opencl(context):
    if "opencl:1" not in [device.name for device in context.devices()]:
        raise tap.Skip("there are no two OpenCL devices")


def tool(*arguments):
    """What the command line tool says, as JSON."""
    path = os.environ.get("DISTORCH2") or f"{tap.BUILD}/distorch2"
    return json.loads(subprocess.run([path, *arguments, "--json"], capture_output=True, text=True).stdout)


def test_devices_are_those_of_the_tool():
    said = tool("devices")
    with Context() as context, context.devices() as devices:
        assert [device.name for device in devices] == [device["name"] for device in said["devices"]]
        cpu = devices["cpu"]
        assert (cpu.driver, cpu.kind, cpu.budgets[0]) == ("host", "host", "cpu")
        assert cpu.total_bytes == said["devices"][0]["total_bytes"]
        assert cpu.max_alloc_bytes is None and cpu.free_bytes > 0
        assert devices[0] is cpu and devices[-1] is list(devices)[-1] and len(devices) == len(said["devices"])
        assert {budget.name for budget in devices.budgets} == {budget["name"] for budget in said["budgets"]}
        distances = devices.numa_distances
        assert (distances and [list(row) for row in distances]) == (said["numa_distances"] or None)
        assert devices.default in list(devices)
        assert json.loads(devices.json())["devices"] == [
            {**device, "free_bytes": json.loads(devices.json())["devices"][i]["free_bytes"]}
            for i, device in enumerate(said["devices"])
        ]
        for link in context.devices(measure=True)["cpu"].links:
            assert link.measured_gbps is None or link.measured_gbps > 0
        assert isinstance(context.devices(unusable=True).unusable, tuple)


def test_another_machine_is_read_and_planned_for():
    document = json.dumps(
        {"devices": [{"name": "cpu", "total_bytes": 1 << 36}, {"name": "cuda:0", "total_bytes": 1 << 33}]}
    )
    with Devices.parse(document) as devices, File(tap.layout("tiny")) as file:
        assert devices.default.name == "cuda:0"
        plan = distorch2.make_plan(devices, file, expert_mode_allocations="cuda:0,50%;cpu,*", virtual_vram_gb=0)
        assert plan.compute_device == "cuda:0"
        assert [share.device for share in plan.shares] == ["cuda:0", "cpu"]
        assert sum(share.bytes for share in plan.shares) == file.total_bytes
        assert plan.shares[1].quota_bytes is None and plan.shares[1].absorbs
        assert plan.share_of(0) is plan.shares[0]
        assert json.loads(plan.document)["model"]["fingerprint"] == file.fingerprint
    with tap.raises(distorch2.FailedError, "devices"):
        Devices.parse("{}")


def test_a_catalogue_lists_resolves_and_refreshes():
    base = tap.scratch("comfy")
    folder = f"{base}/models/controlnet/sub"
    os.makedirs(folder)
    os.symlink(tap.layout("tiny"), f"{folder}/tiny.safetensors")
    with Catalog(comfyui=base) as catalog:
        assert [entry.name for entry in catalog] == ["sub/tiny.safetensors"]
        assert catalog[0].bytes == os.stat(tap.layout("tiny")).st_size
        assert catalog[0].folder in catalog.folders and catalog[-1] == catalog[0]
        assert catalog.resolve("sub/tiny.safetensors") == catalog[0].path == os.fspath(catalog[0])
        with tap.raises(distorch2.NotFoundError, "sub/tiny.safetensors"):
            catalog.resolve("sub/tinny.safetensors")
        os.symlink(tap.layout("tiny"), f"{folder}/second.safetensors")
        assert catalog.refresh() == (1, 0)
        assert len(catalog) == 2
        with tap.raises(IndexError):
            catalog[2]
    lines = []
    os.symlink("/nowhere", f"{folder}/dangling.safetensors")
    Catalog(comfyui=base, log=lambda level, line: lines.append((level, line))).close()
    assert any(level == 30 and "dangling" in line for level, line in lines), lines


def test_a_file_is_what_inspect_says():
    path = tap.layout("tiny")
    said = tool("inspect", path, "--tensors")
    with File(path) as file:
        assert (file.path, file.format, file.family, file.variant) == (
            path,
            "safetensors",
            said["family"],
            said["variant"],
        )
        assert file.total_bytes == said["total_bytes"]
        assert [(t.name, t.dtype, list(t.shape), t.bytes, t.file, t.offset) for t in file.tensors] == [
            (t["name"], t["dtype"], t["shape"], t["bytes"], t["file"], t["offset"]) for t in said["tensors"]
        ]
        assert [(b.name, b.bytes, len(b.tensors)) for b in file.blocks] == [
            (b["name"], b["bytes"], b["tensors"]) for b in said["blocks"]
        ]
        assert file.metadata == {"format": "pt"}
        assert file.traits.hint_channels == 3 and not file.traits.needs_base and file.traits.union_types is None
        with open(path, "rb") as stream:
            for tensor in file.tensors:
                stream.seek(tensor.offset)
                assert file.read(tensor.name) == stream.read(tensor.bytes)
        room = bytearray(file.tensors[0].bytes)
        assert file.read(0, into=room) is room and any(room)
        with tap.raises(distorch2.UsageError, "1 bytes"):
            file.read(0, into=bytearray(1))
        with tap.raises(distorch2.UsageError, "written"):
            file.read(0, into=bytes(room))
        with tap.raises(distorch2.NotFoundError, file.tensors[0].name):
            file.read(file.tensors[0].name + "s")
        file.check_unchanged()
    with tap.raises(distorch2.UsageError, "closed"):
        file.path
    file.close()


def test_a_request_has_all_options():
    with Context() as context, File(tap.layout("tiny")) as file:
        request = Request(compute_device="cpu", virtual_vram_gb="0.5", reserves={"cpu": "1gb"}, pack=True)
        plan = context.plan(file, request)
        asked = json.loads(plan.document)["request"]
        assert asked["virtual_vram_gb"] == 0.5 or asked["virtual_vram_bytes"] == 1 << 29, asked
        with tap.raises(distorch2.NoFitError, "cpu"):
            context.plan(file, request, budgets={"cpu": 4096})
        with tap.raises(distorch2.UsageError, "128"):
            context.plan(file, virtual_vram_gb=129)
        with tap.raises(distorch2.UsageError, "^") as caught:
            context.plan(file, expert_mode_allocations="cpu,2")
        assert caught[0].code == distorch2.ErrorCode.USAGE and caught[0].exit_status == 2
        with tap.raises(distorch2.NotFoundError, "opencl:99"):
            context.plan(file, compute_device="opencl:99")
        with tap.raises(TypeError, "vram_gb"):
            context.plan(file, vram_gb=1)
        with tap.raises(distorch2.UsageError, "-1"):
            context.plan(file, budgets={"cpu": -1})


def test_how_files_are_read():
    with Context() as context:
        for io in ("buffered", "direct", "auto"):
            with context.load(tap.layout("tiny"), compute_device="cpu", io=io, threads=1, queue_depth=4, verify=True) as model:
                stats = model.statistics
                assert stats.engine in ("threads", "io_uring") and stats.queue_depth >= 1
                assert io != "buffered" or stats.direct_bytes == 0
                assert stats.direct_bytes <= stats.bytes == stats.verified_bytes
        with tap.raises(distorch2.UsageError, "sideways"):
            context.load(tap.layout("tiny"), compute_device="cpu", io="sideways")


def test_a_plan_is_loaded_as_it_is():
    layout = tap.layout("tiny")
    with Context() as context:
        made = context.plan(layout, compute_device="cpu", expert_mode_allocations="cpu,*")
        for plan in (made, made.document, made.document.encode()):
            with context.load(layout, plan=plan, verify=True) as model:
                assert model.plan.shares == made.shares and model.statistics.bytes == sum(share.bytes for share in made.shares)
        with context.load(layout, plan=context.plan(layout, compute_device="cpu", dtype="f16"), verify=True) as model:
            assert {tensor.dtype for tensor in model.tensors.values()} == {"F16"}
        with tap.raises(distorch2.UsageError, "resident and plan"):
            context.load(layout, plan=made, resident=True)
        with tap.raises(distorch2.UsageError, "request and plan"):
            context.load(layout, Request(), plan=made)
        with tap.raises(distorch2.UsageError, "fingerprint"):
            context.load(tap.layout("tiny-plain"), plan=made)
        for broken in ("", "[]", "{", '{"model": 1}', made.document[:-9]):
            with tap.raises(distorch2.FailedError):
                context.load(layout, plan=broken)
        need_opencl(context)
        bias = next(tensor.name for tensor in File(layout).tensors if tensor.name.endswith("bias"))
        cut = context.plan(layout, compute_device="cpu", place=f"{bias}=opencl:0")
        with context.load(layout, plan=cut, verify=True) as model:
            assert model.tensor(bias).device == "opencl:0" and model.plan.shares == cut.shares
            assert sum(share.bytes for share in cut.shares if share.device == "opencl:0") == model.tensor(bias).nbytes


def test_host_shares_are_shared():
    os.environ["XDG_RUNTIME_DIR"] = tap.scratch("run")
    os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)
    try:
        with Context() as one, Context() as other:
            first = one.load(tap.layout("tiny"), compute_device="cpu", share=True)
            second = other.load(tap.layout("tiny"), compute_device="cpu", share="only", verify=True)
            assert first.statistics.filled_bytes == first.statistics.shared_bytes == first.statistics.bytes
            assert second.statistics.filled_bytes == 0 and second.statistics.share_users == 1
            (found,) = distorch2.shared_models()
            assert found.processes == (os.getpid(),) and found.bytes >= first.statistics.bytes and found.filler is None
            first.unload()
            assert len(distorch2.shared_models()) == 1
            with tap.raises(ValueError, "sometimes"):
                other.load(tap.layout("tiny"), compute_device="cpu", share="sometimes")
        assert distorch2.shared_models() == []
    finally:
        del os.environ["XDG_RUNTIME_DIR"]


def test_files_and_devices_are_measured():
    with Context() as context, File(tap.layout("tiny")) as file:
        speeds = file.measure("1mb")
        assert speeds.bytes > 0 and speeds.fresh_gbps > 0 and speeds.touched_gbps > 0, speeds
        assert speeds.cold_direct_gbps is None or speeds.cold_direct_gbps > 0
        file.drop_cache()
        with tap.raises(distorch2.NotFoundError, "cuda:77"):
            context.measure("cuda:77")
        for device in context.devices():
            rates = context.measure(device.name)
            assert rates.write_gbps is None or rates.write_gbps > 0, rates


def test_a_load_is_verified_and_read_back():
    with Context() as context:
        need_opencl(context)
        seen = []
        with (
            File(tap.layout("tiny")) as file,
            context.load(
                file,
                compute_device="cpu",
                expert_mode_allocations=SPREAD,
                verify=True,
                name="tiny",
                progress=seen.append,
            ) as model,
        ):
            assert model.name == "tiny" and model.path == file.path and model.loaded
            stats = model.statistics
            assert stats.bytes == stats.verified_bytes == file.total_bytes and stats.seconds > 0
            assert [device.device for device in stats.devices] == ["cpu", "opencl:0", "opencl:1"]
            assert sum(device.bytes for device in stats.devices) == file.total_bytes
            assert seen[0].done_bytes == 0 and seen[-1].done_bytes == file.total_bytes
            assert {each.verifying for each in seen} == {False, True}
            assert [block.name for block in model.blocks] == [block.name for block in file.blocks]
            devices = set()
            for name, tensor in model.tensors.items():
                assert tensor.read() == file.read(name)
                assert tensor.index in model.blocks[tensor.block].tensors
                with model.borrow():
                    assert tensor.native().device == tensor.device
                devices.add(tensor.device)
                assert model.plan.share_of(tensor.block).device == tensor.device
            assert devices == {"cpu", "opencl:0", "opencl:1"}
            assert list(model.tensors) == [tensor.name for tensor in file.tensors]
            assert "no.such" not in model.tensors and model.tensor(0).name == file.tensors[0].name
            with tap.raises(KeyError):
                model.tensors["no.such"]
            with tap.raises(distorch2.NotFoundError, "control_model"):
                model.tensor("control_model.time_embed.0.weigh")
            assert [each.name for each in context.models] == ["tiny"]
            tensor = model.tensor(0)
        assert context.models == []
        with tap.raises(distorch2.UsageError, "closed"):
            tensor.read()


def test_models_stay_and_are_ejected():
    with Context() as context:
        first = context.load(tap.layout("tiny"), compute_device="cpu", name="first")
        del first
        assert [model.name for model in context.models] == ["first"]
        with context.models[0].borrow() as first:
            with tap.raises(distorch2.BusyError, "first"):
                first.unload()
            with tap.raises(distorch2.BusyError):
                first.unload(wait=True, timeout=0.05)
            second = context.load(tap.layout("tiny"), compute_device="cpu", name="second")
            assert second.statistics.ejected == () and len(context.models) == 2
        third = context.load(tap.layout("tiny"), compute_device="cpu", name="third")
        assert third.statistics.ejected == ("first", "second")
        assert not second.loaded
        with tap.raises(distorch2.BusyError, "second"):
            second.tensor(0).read()
        assert second.plan.compute_device == "cpu"


def test_exceptions_of_callbacks_come_through():
    class Mine(Exception):
        pass

    def fail(*_):
        raise Mine

    with Context() as context:
        with tap.raises(Mine):
            context.load(tap.layout("tiny"), compute_device="cpu", progress=fail)
        with tap.raises(distorch2.CancelledError):
            context.load(tap.layout("tiny"), compute_device="cpu", progress=lambda _: False)
        with tap.raises(Mine):
            context.load(tap.layout("tiny"), compute_device="cpu", budgets={"cpu": 4096}, release=fail)
        assert context.models == []
        asked = []

        def release(device, count):
            asked.append((device, count))
            return 0

        with tap.raises(distorch2.NoFitError):
            context.load(tap.layout("tiny"), compute_device="cpu", budgets={"cpu": 4096}, release=release)
        assert asked and asked[0][0] == "cpu" and asked[0][1] > 0


def test_free_memory_as_the_program_knows_it():
    told = {}

    def available(device, free):
        told[device] = free
        return 4096 if device == "cpu" else None

    with Context() as context, distorch2.File(tap.layout("tiny")) as file:
        with tap.raises(distorch2.NoFitError):
            context.plan(file, compute_device="cpu", available=available)
        assert told["cpu"] > 4096
        with tap.raises(distorch2.NoFitError):
            context.load(file, compute_device="cpu", available=available)
        assert context.load(file, compute_device="cpu", available=lambda *_: None).plan.shares[0].bytes > 0

        def fail(*_):
            raise ZeroDivisionError

        for function in (context.plan, context.load):
            with tap.raises(ZeroDivisionError):
                function(file, compute_device="cpu", available=fail)
        assert len(context.models) == 1


def test_errors_are_exceptions_of_their_own():
    with tap.raises(distorch2.NotFoundError, "/nowhere") as caught:
        File("/nowhere/at.all")
    assert isinstance(caught[0], LookupError) and caught[0].exit_status == 4
    with tap.raises(distorch2.FailedError):
        File(f"{tap.SOURCE}/COPYING")
    with tap.raises(distorch2.UsageError, "NUL"):
        File("a\0b")
    with Context() as context, tap.raises(distorch2.NotFoundError) as caught:
        context.devices().index_of("cpx")
    assert caught[0].suggestion and "hint: " in str(caught[0]) and caught[0].suggestion in str(caught[0])
    import pickle

    again = pickle.loads(pickle.dumps(caught[0]))
    assert (again.text, again.suggestion, type(again)) == (caught[0].text, caught[0].suggestion, type(caught[0]))


def test_paths_that_are_no_utf8_survive():
    path = os.path.join(os.fsencode(tap.scratch()), b"caf\xe9.safetensors")
    os.symlink(os.fsencode(tap.layout("tiny")), path)
    with File(path) as file, Context() as context, context.load(file, compute_device="cpu") as model:
        assert os.fsencode(file.path) == path == os.fsencode(model.path)


def test_sizes():
    assert distorch2.parse_size("1.5gb") == 3 << 29
    assert distorch2.parse_gib("0.25") == 1 << 28
    assert distorch2.format_size(0) == "0 B" and distorch2.format_size(689 << 20) == "689 MiB"
    with tap.raises(distorch2.UsageError):
        distorch2.parse_size("12")


def test_a_context_that_is_closed_says_so():
    context = Context()
    context.close()
    context.close()
    with tap.raises(distorch2.UsageError, "closed"):
        context.devices()
    with tap.raises(TypeError, "pickled"):
        import pickle

        pickle.dumps(context)


if __name__ == "__main__":
    tap.run_tests()
