# SPDX-License-Identifier: BSD-3-Clause
"""An attached module in a program with plans of its own: it is suspended and dropped, moved and asked where it is."""

import collections
import contextlib
import gc
import threading
import types
import weakref

import distorch2
import tap
import torch
from distorch2.torch import attach, device_name, torch_device
from distorch2.torch.relay import first_device, moved
from test_attach import SPREAD, Setting, setting
from torch import nn


def test_a_suspended_module_takes_nothing_and_comes_back():
    for allocations in (SPREAD, "cpu,*", "opencl:0,*"):
        with setting(expert_mode_allocations=allocations) as s, torch.no_grad():
            network = s.meta()
            with attach(network, s.model) as attachment:
                for _ in range(3):
                    assert torch.equal(network(*s.inputs), s.expected())
                    attachment.suspend()
                    attachment.suspend()
                    assert attachment.suspended and attachment.session.info.parked
                    kinds = {type(each).__name__ for each in network.parameters()}
                    assert kinds == {"Absent"}, kinds
                    with tap.raises(distorch2.UsageError, "suspended", "resume"):
                        network(*s.inputs)
                    with tap.raises(distorch2.FailedError, "layers.0.weight"):
                        network.layers[0].weight.sum()
                    attachment.resume()
                    attachment.resume()
                    assert not attachment.suspended
                attachment.suspend()
            assert {each.device.type for each in network.parameters()} == {"meta"}


def test_what_is_evicted_changes_no_output():
    for allocations in (SPREAD, "cpu,*"):
        with setting(expert_mode_allocations=allocations) as s, torch.no_grad():
            network = s.meta()
            before = s.model.held("cpu")
            with attach(network, s.model):
                assert torch.equal(network(*s.inputs), s.expected())
                for _ in range(3):
                    assert s.model.evict("1gb") > 0 and s.model.held("cpu") < before + 100000
                    assert torch.equal(network(*s.inputs), s.expected())
                    s.model.restore()
                    assert torch.equal(network(*s.inputs), s.expected())
            assert s.model.held("cpu") == before
            assert {each.device.type for each in network.parameters()} == {"meta"}


def test_it_may_be_evicted_in_a_forward_and_by_other_threads():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model):
            asked = []

            def evict(*_):
                asked.append(s.model.evict("1gb"))

            hook = network.layers[1].register_forward_hook(evict)
            assert torch.equal(network(*s.inputs), s.expected()) and asked
            hook.remove()
            stop = threading.Event()
            failures = []

            def move():
                while not stop.is_set():
                    try:
                        s.model.evict("1gb")
                        s.model.restore()
                    except distorch2.BusyError:
                        pass
                    except Exception as failure:  # noqa: BLE001 - whatever it is, the test has it
                        failures.append(failure)

            thread = threading.Thread(target=move)
            thread.start()
            same = all(torch.equal(network(*s.inputs), s.expected()) for _ in range(20))
            stop.set()
            thread.join()
            assert same and not failures, failures
            s.model.restore()
            assert torch.equal(network(*s.inputs), s.expected())


def test_it_is_not_suspended_in_a_forward():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model) as attachment:
            refused = []

            def suspend(*_):
                for what in (attachment.suspend, attachment.refresh):
                    try:
                        what()
                    except distorch2.BusyError as error:
                        refused.append(error)

            hook = network.layers[1].register_forward_hook(suspend)
            assert torch.equal(network(*s.inputs), s.expected()) and len(refused) == 2
            hook.remove()
            attachment.refresh()
            assert torch.equal(network(*s.inputs), s.expected())


def test_what_is_dropped_goes_at_once():
    """Without a collection: nothing that the module has leads back to it."""
    with setting() as s, torch.no_grad():
        gc.disable()
        try:
            for keep in (False, True):
                network = s.meta()
                attachment = attach(network, s.model, stray="fetch", relay=True)
                network(*s.inputs)
                gone, session = weakref.ref(network), attachment.session
                if not keep:
                    del attachment
                del network
                assert gone() is None, "the module lives on"
                if keep:
                    assert attachment.module is None and session.closed
                    attachment.detach()
                    del attachment
                del session
                s.model.unload()
                s = Setting(s.model._context)
        finally:
            gc.enable()
            s.model.unload()


def test_a_module_in_itself():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(4, 4)

        def forward(self, x, again=True):
            x = self.line(x)
            return self(x, again=False) if again else x

    torch.manual_seed(3)
    stock = Twice().eval()
    from safetensors.torch import save_file

    save_file(stock.state_dict(), tap.scratch("twice.safetensors"))
    with distorch2.Context() as context, torch.device("meta"):
        if "opencl:0" not in [device.name for device in context.devices()]:
            raise tap.Skip("there is no OpenCL device")
        network = Twice().eval()
        options = {"compute_device": "cpu", "expert_mode_allocations": "opencl:0,*"}
        with context.load(tap.scratch("twice.safetensors"), **options) as model:
            with torch.no_grad(), attach(network, model):
                x = torch.randn(2, 4, device="cpu")
                assert torch.equal(network(x), stock(x))


def test_moves_are_ignored_where_that_is_asked_for():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model, moves="ignore") as attachment:
            for move in (network.half, network.cpu, lambda: network.to("meta"), lambda: network.to(torch.bfloat16)):
                assert move() is network
            assert torch.equal(network(*s.inputs), s.expected()) and network.scale.dtype == torch.float32
            assert attachment.module is network
        with tap.raises(distorch2.UsageError, "moves"):
            attach(network, s.model, moves="accept")


Pair = collections.namedtuple("Pair", "one other")


def test_a_relay_takes_nested_values_along():
    """Between devices that this machine has: the host, and "meta", where nothing is computed."""
    meta, host = torch.device("meta"), torch.device("cpu")
    x = torch.ones(2)
    value = {"a": [x, (x, 3)], "b": Pair(x, None), "c": "text"}
    assert moved(value, host) is value and first_device(value) == host
    there = moved(value, meta)
    assert there["a"][0].is_meta and there["a"][1][0].is_meta and there["a"][1][1] == 3 and there["c"] == "text"
    assert isinstance(there["b"], Pair) and there["b"].one.is_meta and there["b"].other is None
    assert first_device([torch.tensor(1.0), torch.ones(1, device="meta")]) == meta
    assert first_device([3, "text"]) is None and first_device((torch.tensor(1.0),)) == host
    with setting() as s, torch.no_grad():
        network = s.meta()
        seen = []
        with attach(network, s.model, relay=True):
            network.register_forward_pre_hook(lambda _, args: seen.append([each.device for each in args]))
            assert torch.equal(network(*s.inputs), s.expected()) and seen == [[host] * 3]


def test_a_relay_takes_inputs_to_the_module_and_outputs_back():
    """A root that computes elsewhere than its caller, as torch sees it."""
    from distorch2.torch.passes import Root

    class Elsewhere(nn.Module):
        def forward(self, x, scale=None):
            assert x.is_meta and scale.is_meta
            return {"x": x * scale, "kept": [x]}

    class Quiet(Root):
        def enter(self):
            pass

        def release(self, failed):
            pass

    module = Elsewhere()
    unit = Quiet(types.SimpleNamespace(device=torch.device("meta"), thread=0), module, [], relay=True)
    module.__dict__["_call_impl"] = unit
    x = torch.ones(2)
    with tap.raises(NotImplementedError, "meta"):  # and back again, which is where nothing can be taken from
        module(x, scale=x)
    assert module(torch.ones(2, device="meta"), scale=x)["x"].is_meta


@contextlib.contextmanager
def torch_with(*gpus):
    """torch, as if it saw GPUs of these properties."""
    count, properties = torch.cuda.device_count, torch.cuda.get_device_properties
    torch.cuda.device_count = lambda: len(gpus)
    torch.cuda.get_device_properties = lambda index: types.SimpleNamespace(**gpus[index])
    try:
        yield
    finally:
        torch.cuda.device_count, torch.cuda.get_device_properties = count, properties


ONE, OTHER = "6a1b2c3d-0000-1111-2222-333344445555", "7a1b2c3d-0000-1111-2222-333344445555"


def gpu(number, uuid=None, pci=None, driver="cuda"):
    return types.SimpleNamespace(
        name=f"{driver}:{number}", aliases=(), driver=driver, uuid=uuid, pci=pci, model="a GPU"
    )


def test_devices_are_told_by_what_they_are():
    host = types.SimpleNamespace(name="cpu", aliases=(), driver="host", uuid=None, pci=None, model=None)
    ours = [host, gpu(0, ONE), gpu(1, OTHER)]
    index = torch.device
    assert torch_device("cpu", ours) == index("cpu") and torch_device("cpu:1") == index("cpu")
    with torch_with({"uuid": OTHER}, {"uuid": ONE}):  # CUDA_VISIBLE_DEVICES=1,0, said after we had looked
        assert torch_device("cuda:0", ours) == index("cuda", 1) and torch_device("cuda:1", ours) == index("cuda", 0)
        assert device_name("cuda:0", ours) == "cuda:1" and device_name(index("cuda", 1), ours) == "cuda:0"
        assert device_name("cpu", ours) == "cpu"
    with torch_with({"uuid": OTHER}):  # and one hidden
        assert device_name("cuda:0", ours) == "cuda:1"
        with tap.raises(distorch2.UsageError, "does not see cuda:0", "CUDA_VISIBLE_DEVICES"):
            torch_device("cuda:0", ours)
        with tap.raises(distorch2.NotFoundError, "cuda:1", "none of"):
            device_name("cuda:1", ours)
    place = {"pci_domain_id": 0, "pci_bus_id": 0x41, "pci_device_id": 0}
    by_place = [gpu(0, pci="0000:01:00.0"), gpu(1, pci="0000:41:00.0")]
    with torch_with(place):
        assert torch_device("cuda:1", by_place) == index("cuda", 0) and device_name("cuda:0", by_place) == "cuda:1"
    with torch_with({}, {}):  # an old torch, which says neither
        assert torch_device("cuda:1", ours) == index("cuda", 1) and device_name("cuda:1", ours) == "cuda:1"
        assert torch_device("cuda:1") == index("cuda", 1)
    with tap.raises(distorch2.UsageError, "opencl:0", "torch cannot compute there"):
        torch_device("opencl:0", ours)
    with tap.raises(distorch2.UsageError, "hip:0", "built for CUDA"):
        torch_device("hip:0", ours)
    with tap.raises(distorch2.NotFoundError, "xpu"):
        device_name("xpu:0", ours)


def test_another_thread_is_refused_within_the_same_module():
    with setting(expert_mode_allocations="opencl:0,*") as s, torch.no_grad():
        network = s.meta()
        refused = []

        def other():
            with torch.no_grad():
                try:
                    network.layers[0](torch.ones(1, 32))
                except distorch2.UsageError as error:
                    refused.append(str(error))

        def from_another_thread(*_):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

        with attach(network, s.model):
            network.layers[0].register_forward_pre_hook(from_another_thread)
            assert torch.equal(network(*s.inputs), s.expected())
        assert len(refused) == 1 and "another thread" in refused[0]


if __name__ == "__main__":
    tap.run_tests()
