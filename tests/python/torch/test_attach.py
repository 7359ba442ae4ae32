# SPDX-License-Identifier: BSD-3-Clause
"""distorch2.torch.attach on small modules: what it promises, and what it refuses."""

import contextlib
import copy
import os
import threading
import warnings

import distorch2
import distorch2.torch
import tap
import torch
from distorch2 import Context, Span
from distorch2.torch import attach, weights
from safetensors.torch import save_file
from torch import nn

SEED = 11
SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
torch.set_num_threads(1)
weights.SMALL = 256  # as these networks are: their matrices are not, and their biases are


class Network(nn.Module):
    """Attention, tied weights, buffers, an embedding: what reads weights in ways of its own."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.cross = nn.MultiheadAttention(32, 4, kdim=16, vdim=24, batch_first=True)
        self.norm = nn.BatchNorm1d(7)
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
        self.scale = nn.Parameter(torch.ones(32))
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("steps", torch.arange(7), persistent=False)

    def forward(self, ids, keys, values):
        x = self.embed(ids) + self.steps[:, None] * self.scale
        x = x + self.attention(x, x, x)[0]
        x = x + self.cross(x, keys, values, need_weights=False)[0]
        x = self.norm(x)
        for layer in self.layers:
            x = torch.nn.functional.gelu(layer(x))
        return self.head(x)


class Setting:
    """A stock network, its file, the model that was loaded of it, and inputs."""

    def __init__(self, context, **options):
        torch.manual_seed(SEED)
        self.stock = Network().eval()
        for parameter in self.stock.parameters():
            parameter.data.normal_(0, 0.2)
        self.stock.norm.running_mean.normal_()
        path = tap.scratch("network.safetensors")
        state = {name: tensor.clone() for name, tensor in self.stock.state_dict().items() if name != "head.weight"}
        save_file(state, path)
        options = {"compute_device": "cpu", "expert_mode_allocations": SPREAD, **options}
        self.model = context.load(path, **options)
        self.inputs = (torch.randint(0, 50, (2, 7)), torch.randn(2, 5, 16), torch.randn(2, 5, 24))

    def meta(self):
        with torch.device("meta"):
            made = Network().eval()
        made.head.weight = made.embed.weight
        made.steps = torch.arange(7)
        return made

    def expected(self, dtype=None):
        network = self.stock if dtype is None else copy.deepcopy(self.stock).to(dtype)
        inputs = self.cast(dtype)
        with torch.no_grad():
            return network(*inputs)

    def cast(self, dtype):
        return tuple(each.to(dtype) if dtype and each.is_floating_point() else each for each in self.inputs)


@contextlib.contextmanager
def setting(**options):
    with Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
        made = Setting(context, **options)
        with made.model:
            yield made


def test_the_output_is_that_of_the_stock_module():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model) as attachment:
            assert attachment.missing == ["steps"] and attachment.unused == []
            for _ in range(3):
                assert torch.equal(network(*s.inputs), s.expected())
            stats = attachment.statistics()
            assert stats.passes == 3 and stats.window_bytes <= attachment.session.info.window_bytes, stats
            assert attachment.statistics(Span.LAST_PASS).acquires > 0
        # So too where nothing streams, and where all does.
    for allocations in ("cpu,*", "opencl:0,*"):
        with setting(expert_mode_allocations=allocations) as s, torch.inference_mode():
            network = s.meta()
            with attach(network, s.model):
                assert torch.equal(network(*s.inputs), s.expected())


def test_between_passes_streamed_weights_are_stand_ins():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model) as attachment:
            network(*s.inputs)
            absent = [
                (name, parameter)
                for name, parameter in network.named_parameters()
                if type(parameter).__name__ == "Absent"
            ]
            assert absent
            for name, parameter in absent:
                assert isinstance(parameter, nn.Parameter) and parameter.device == torch.device("cpu")
                assert parameter.dtype == torch.float32
                for use in (lambda p: p + 1, torch.sum, lambda p: p.to("meta"), lambda p: p.half(), lambda p: p[0]):
                    with tap.raises(distorch2.FailedError, name):
                        use(parameter)
                assert name in repr(parameter)
            assert attachment.device == torch.device("cpu")
            assert set(network.state_dict()) == set(s.stock.state_dict())


class Reader(nn.Module):
    """A parent that reads its child's weight by itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *inputs):
        return self.inner(*inputs) + self.inner.cross.out_proj.weight.sum() + self.inner.layers[3].weight.sum()


def test_what_a_parent_reads_is_named_or_acquired_with_it():
    with setting(expert_mode_allocations="opencl:0,*") as s, torch.no_grad():
        network = Reader(s.meta())
        names = lambda name: name.replace("inner.", "", 1)  # noqa: E731
        with (
            attach(network, s.model, names=names),
            tap.raises(distorch2.FailedError, "inner.cross.out_proj.weight", "whole"),
        ):
            network(*s.inputs)
        expected = Reader(s.stock)(*s.inputs)
        for whole in ([Reader], [""], [network]):
            with attach(network, s.model, names=names, whole=whole, window_bytes="1mb"):
                assert torch.equal(network(*s.inputs), expected)


def test_what_nobody_provides_is_an_error_that_names_it():
    with setting() as s, torch.no_grad():
        network = s.meta()
        network.layers[2] = nn.Linear(32, 32, bias=True, device="meta")
        drop = lambda name: None if name == "layers.2.bias" else name  # noqa: E731
        with attach(network, s.model, names=drop) as attachment:
            assert set(attachment.missing) == {"layers.2.bias", "steps"}
            assert attachment.unused == ["layers.2.bias"]
            with tap.raises(distorch2.FailedError, "layers.2.bias", "not in the model"):
                network(*s.inputs)
            attachment.session.park()  # nothing was held on to
        network = s.meta()
        network.steps = torch.arange(7, device="meta")
        with attach(network, s.model), tap.raises(distorch2.FailedError, "steps"):
            network(*s.inputs)


def test_gradients_are_refused():
    with setting() as s:
        network = s.meta()
        with attach(network, s.model) as attachment:
            with tap.raises(distorch2.UsageError, "gradients", "no_grad"):
                network(*s.inputs)
            with tap.raises(distorch2.UsageError, "layers.3", "gradients"):
                network.layers[3](torch.ones(1, 32))
            assert attachment.statistics().acquires == 0
            with torch.no_grad():
                assert torch.equal(network(*s.inputs), s.expected())


def test_weights_are_cast_at_use():
    with setting() as s, torch.no_grad():
        for dtype in (torch.bfloat16, torch.float64):
            network = s.meta()
            with attach(network, s.model, dtype=dtype) as attachment:
                assert {p.dtype for p in network.parameters()} == {dtype}
                assert torch.equal(network(*s.cast(dtype)), s.expected(dtype))
                assert network.norm.num_batches_tracked.dtype == torch.int64
                assert network.to(dtype) is network
                with tap.raises(distorch2.UsageError, "float16"):
                    network.half()
                attachment.session.park()


def test_the_module_stays_where_it_computes():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model):
            assert network.to("cpu") is network and network.to(torch.float32) is network
            assert network.cpu() is network and network.float() is network
            with tap.raises(distorch2.UsageError, "meta"):
                network.to("meta")
            outer = nn.Sequential(network).to("cpu")
            assert torch.equal(outer[0](*s.inputs), s.expected())
            with tap.raises(TypeError, "detach"):
                copy.deepcopy(network)


def test_hooks_of_others_see_the_weights():
    with setting() as s, torch.no_grad():
        network = s.meta()
        seen = []
        layer = network.layers[3]

        def before(module, args):
            seen.append(("before", module.weight.sum().item()))

        def after(module, args, result):
            seen.append(("after", module.weight.sum().item()))
            return result * 2

        early = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
        with attach(network, s.model):
            late = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
            doubled = network(*s.inputs)
            value = s.stock.layers[3].weight.sum().item()
            assert seen == [("before", value)] * 2 + [("after", value)] * 2
            for hook in early + late:
                hook.remove()
            assert torch.equal(network(*s.inputs), s.expected()) and not torch.equal(doubled, s.expected())


def test_an_exception_releases_everything():
    class Mine(Exception):
        pass

    def fail(*_):
        raise Mine

    def interrupt(*_):
        raise KeyboardInterrupt

    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model) as attachment:
            for place in (network.layers[2], network.attention, network):
                for register in ("register_forward_pre_hook", "register_forward_hook"):
                    hook = getattr(place, register)(fail)
                    with tap.raises(Mine):
                        network(*s.inputs)
                    hook.remove()
                    attachment.session.park()  # refused while anything is held
                    attachment.session.unpark()
            # Ctrl-C passes by torch's own handling of hooks: the next pass gives back what was held.
            for place in (network.layers[2], network.attention):
                hook = place.register_forward_hook(interrupt)
                with tap.raises(KeyboardInterrupt):
                    network(*s.inputs)
                hook.remove()
                assert torch.equal(network(*s.inputs), s.expected())
                attachment.session.park()
                attachment.session.unpark()
            hook = network.layers[2].register_forward_hook(interrupt)
            with tap.raises(KeyboardInterrupt):
                network(*s.inputs)


def test_a_second_thread_is_refused():
    with setting() as s, torch.no_grad():
        network = s.meta()
        entered, go_on, caught = threading.Event(), threading.Event(), []

        def pause(*_):
            entered.set()
            go_on.wait(10)

        def other():
            try:
                with torch.no_grad():
                    network(*s.inputs)
            except distorch2.UsageError as refused:
                caught.append(refused)

        with attach(network, s.model):
            hook = network.layers[0].register_forward_pre_hook(pause)
            results = []

            def first():
                with torch.no_grad():
                    results.append(network(*s.inputs))

            threads = [threading.Thread(target=first), threading.Thread(target=other)]
            threads[0].start()
            entered.wait(10)
            threads[1].start()
            threads[1].join()
            go_on.set()
            threads[0].join()
            hook.remove()
            assert len(caught) == 1 and "another thread" in str(caught[0])
            assert torch.equal(results[0], s.expected())
            assert torch.equal(network(*s.inputs), s.expected())


def test_detach_makes_the_module_what_it_was():
    with setting() as s:
        for network in (s.meta(), s.meta().to_empty(device="cpu")):
            real = not network.scale.is_meta
            state = dict(network.__dict__)
            tied = network.embed.weight is network.head.weight
            before = dict(network.named_parameters()), dict(network.named_buffers())
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                attachment = attach(network, s.model)
            assert [w.category for w in caught] == [UserWarning] * real, [str(w.message) for w in caught]
            with tap.raises(distorch2.UsageError, "attached"):
                attach(network, s.model)
            with torch.no_grad():
                network(*s.inputs)
            attachment.detach()
            attachment.detach()
            after = dict(network.named_parameters()), dict(network.named_buffers())
            for old, new in zip(before, after):
                assert list(old) == list(new) and all(old[name] is new[name] for name in old)
            for module in network.modules():
                assert not module._forward_hooks and not module._forward_pre_hooks
                assert not module._forward_hooks_always_called
            assert network.__dict__.keys() == state.keys()
            assert (network.embed.weight is network.head.weight) == tied


def test_a_session_may_be_given():
    with setting() as s, torch.no_grad():
        with s.model.session() as session:
            network = s.meta()
            with attach(network, s.model, session):
                assert torch.equal(network(*s.inputs), s.expected())
            assert not session.closed and session.statistics().passes == 1
            with tap.raises(TypeError, "window_bytes"):
                attach(network, s.model, session, window_bytes=1)
        with attach(network, s.model) as attachment:
            with tap.raises(distorch2.BusyError):
                s.model.unload()
        assert attachment.session.closed
        s.model.unload()


def test_what_cannot_be_is_refused_before_anything_is_touched():
    with setting() as s:
        network = s.meta()
        network.layers[1] = nn.Linear(32, 33, device="meta")
        before = dict(network.named_parameters())
        with tap.raises(distorch2.UsageError, "layers.1.weight", "[33, 32]", "[32, 32]"):
            attach(network, s.model)
        with tap.raises(distorch2.UsageError, "prefix", "no name in common"):
            attach(s.meta(), s.model, prefix="control_model.")
        assert all(before[name] is parameter for name, parameter in network.named_parameters())
    with setting(compute_device="opencl:0") as s:
        with tap.raises(distorch2.UsageError, "opencl:0", "torch cannot compute there"):
            attach(s.meta(), s.model)


def test_a_forked_child_cannot_run_it():
    with setting() as s, torch.no_grad():
        network = s.meta()
        with attach(network, s.model):
            pid = os.fork()
            if pid == 0:
                try:
                    network(*s.inputs)
                except distorch2.ForkError:
                    os._exit(0)
                os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0
            assert torch.equal(network(*s.inputs), s.expected())


if __name__ == "__main__":
    tap.run_tests()
