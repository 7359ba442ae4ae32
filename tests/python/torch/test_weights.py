# SPDX-License-Identifier: BSD-3-Clause
"""Weights that are not tensors of the file as they are: put together, cast, a module's own, or read by code that nobody
foresaw."""

import contextlib
import io
import warnings

import distorch2
import tap
import torch
from distorch2.torch import attach, trace
from distorch2.torch.standin import Absent
from safetensors.torch import save_file
from test_attach import SPREAD
from torch import nn

SEED = 17
PLACES = (SPREAD, "cpu,*", "opencl:0,*")


class Fused(nn.Module):
    """q, k and v in one, as programs hold what files have apart; and a weight that is returned as it is."""

    def __init__(self, width=16):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = Returned(width)
        self.embed = nn.Linear(width, width, bias=False)
        self.kind = nn.Parameter(torch.ones(width))
        self.register_buffer("steps", torch.linspace(0, 1, width), persistent=False)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.embed(self.out(x) + self.bias() * self.kind + self.steps)


class Returned(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 3, width)[:, 0].clone())

    def forward(self):
        return self.weight


def load(state):
    """The network's own loader."""
    network = Fused().eval()
    made = {name: tensor for name, tensor in state.items() if not name.startswith("attention")}
    for kind in ("weight", "bias"):
        made[f"qkv.{kind}"] = torch.cat([state[f"attention.{each}.{kind}"] for each in "qkv"])
    made["bias.weight"] = state["bias"].reshape(1, -1)[:, :16]
    del made["bias"]
    network.load_state_dict(made, strict=False)
    return network


def saved(dtype=torch.float32):
    torch.manual_seed(SEED)
    shapes = {"weight": (16, 16), "bias": (16,)}
    state = {f"attention.{each}.{kind}": torch.randn(shapes[kind]) for each in "qkv" for kind in shapes}
    for name, shape in {"norm.weight": (16,), "norm.bias": (16,), "out.weight": (16, 16), "out.bias": (16,)}.items():
        state[name] = torch.randn(*shape)
    state.update({"bias": torch.randn(4, 8), "embed.weight": torch.randn(16, 16)})
    state = {name: tensor.to(dtype) for name, tensor in state.items()}
    path = tap.scratch(f"fused-{dtype}.safetensors")
    save_file(state, path)
    return path, state


@contextlib.contextmanager
def loaded(path, allocations):
    with distorch2.Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
        with context.load(path, compute_device="cpu", expert_mode_allocations=allocations) as model:
            yield model


def x_of(dtype=torch.float32):
    torch.manual_seed(SEED + 1)
    return torch.randn(2, 5, 16).to(dtype)


def test_a_network_runs_by_its_record():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        path, state = saved(dtype)
        stock = load(state)
        network, record = trace(path, load)
        assert set(record.own) == {"steps", "kind"} and record.shapes["qkv.weight"] == (48, 16)
        for allocations in PLACES:
            with loaded(path, allocations) as model, torch.no_grad():
                with attach(network, model, sources=record, missing={"kind": torch.ones(16)}) as attachment:
                    assert not attachment.unused
                    for _ in range(3):
                        assert torch.equal(network(x_of()), stock(x_of())), (dtype, allocations)
                with torch.inference_mode(), attach(network, model, sources=record, missing={"kind": torch.ones(16)}):
                    assert torch.equal(network(x_of()), stock(x_of())), (dtype, allocations)


def test_a_file_is_stored_as_its_network_takes_it():
    """Then nothing is cast or put together at use: weights that lie where the network computes are there for good."""
    for dtype in (torch.float16, torch.bfloat16):
        path, state = saved(dtype)
        stock = load(state)
        network, record = trace(path, load)
        with distorch2.File(path) as file, record.stored(file) as stored:
            for allocations in PLACES:
                with loaded(stored, allocations) as model, torch.no_grad():
                    with attach(network, model, sources=record, missing=ones) as attachment:
                        for _ in range(2):
                            assert torch.equal(network(x_of()), stock(x_of())), (dtype, allocations)
                        assert not attachment.unused and not attachment._buffers.nbytes
                        if allocations == "cpu,*":
                            assert torch.equal(network.qkv.weight, stock.qkv.weight)
                            assert "_call_impl" not in network.qkv.__dict__


def test_casts_are_those_of_the_loader():
    """Rounded on the way to half, and used in float."""
    path, state = saved()

    def rounding(s):
        return load({name: tensor.half() if "out" in name else tensor for name, tensor in s.items()})

    network, record = trace(path, rounding)
    assert record.via["out.weight"] == (torch.float16,) and "qkv.weight" not in record.via
    with loaded(path, SPREAD) as model, torch.no_grad(), attach(network, model, sources=record, missing=ones):
        expected = rounding(state)(x_of())
        assert torch.equal(network(x_of()), expected) and not torch.equal(expected, load(state)(x_of()))


def ones(name):
    return torch.ones(16) if name == "kind" else None


def test_a_dtype_of_each():
    path, state = saved(torch.float16)
    network, record = trace(path, load)
    sources = dict(record)
    stock = load(state)
    with loaded(path, SPREAD) as model, torch.no_grad():
        for dtype in ("module", dict(record.dtypes), lambda name: torch.float32):
            with attach(network, model, sources=sources, dtype=dtype, missing=with_steps):
                assert torch.equal(network(x_of()), stock(x_of()))
                assert {each.dtype for each in network.parameters()} == {torch.float32}
        with attach(network, model, sources=sources, missing=with_steps):
            assert network.out.weight.dtype == torch.float16
            with tap.raises(RuntimeError, "dtype"):
                network(x_of())
        wanted = {"qkv.weight": torch.bfloat16}
        with attach(network, model, sources=sources, dtype=wanted, missing=with_steps):
            assert network.qkv.weight.dtype == torch.bfloat16 and network.out.weight.dtype == torch.float16
        network.out.weight_comfy_model_dtype = torch.bfloat16
        with attach(network, model, sources=sources, dtype="module", missing=with_steps):
            assert network.out.weight.dtype == torch.bfloat16 and network.out.bias.dtype == torch.float32
        with tap.raises(distorch2.UsageError, "dtype", "module"):
            attach(network, model, sources=sources, dtype="float")


def with_steps(name):
    return {"kind": torch.ones(16), "steps": torch.linspace(0, 1, 16)}.get(name)


def test_memory_for_casts_is_used_again():
    path, state = saved(torch.float16)
    network, record = trace(path, load)
    with loaded(path, "cpu,*") as model, torch.no_grad():
        with attach(network, model, sources=record, missing=ones) as attachment:
            network(x_of())
            addresses = set()
            network.out.register_forward_hook(lambda module, *_: addresses.add(module.weight.data_ptr()))
            before = attachment._buffers.nbytes
            for _ in range(4):
                network(x_of())
            assert len(addresses) == 1 and attachment._buffers.nbytes == before > 0
            # A weight that somebody keeps stays what it is.
            kept = []
            network.qkv.register_forward_hook(lambda module, *_: kept.append(module.weight))
            network.out.register_forward_hook(lambda module, *_: kept.append(module.weight.view(-1)[3:]))
            for _ in range(2):
                network(x_of())
            expected = load(state)
            for weight, part in zip(kept[::2], kept[1::2]):
                assert torch.equal(weight, expected.qkv.weight) and torch.equal(part, expected.out.weight.view(-1)[3:])
            assert torch.equal(network.bias(), expected.bias.weight)
            returned = network.bias()
            network(x_of())
            assert torch.equal(returned, expected.bias.weight)


def test_small_weights_are_cast_once():
    path, state = saved(torch.float16)
    network, record = trace(path, load)
    expected = load(state)
    with loaded(path, "cpu,*;opencl:0,0gb") as model, torch.no_grad():
        with attach(network, model, sources=record, missing=ones) as attachment:
            bias, matrix = network.out.bias, network.out.weight
            assert not isinstance(bias, Absent) and torch.equal(bias, expected.out.bias) and bias.dtype == torch.float32
            assert isinstance(matrix, Absent) and torch.equal(network.norm.bias, expected.norm.bias)
            assert torch.equal(network.qkv.bias, expected.qkv.bias), "of three pieces"
            attachment.suspend()
            assert isinstance(network.out.bias, Absent)
            attachment.resume()
            assert torch.equal(network.out.bias, expected.out.bias)
            # What leaves the compute device comes with each use again.
            assert model.evict(1 << 20) > 0
            assert isinstance(network.out.bias, Absent)
            assert torch.equal(network(x_of()), expected(x_of()))
            model.restore()
            assert torch.equal(network.out.bias, expected.out.bias)


def test_sources_are_held_against_module_and_model():
    path, _ = saved()
    network, record = trace(path, load)
    with loaded(path, SPREAD) as model:
        for change, *said in (
            ({"out.weight": [("out.weigth", 0, 256)]}, "out.weigth"),
            ({"out.weight": [("out.weight", 0, 255)]}, "out.weight has 256", "255"),
            ({"out.weight": [("out.weight", 1, 256)]}, "out.weight", "from 1 on"),
            ({"out.weight": [("out.weight", -1, 256)]}, "from -1 on"),
            ({"out.weight": []}, "out.weight has 256"),
            ({"out.wait": [("out.weight", 0, 256)]}, "out.wait", "no parameter"),
        ):
            with tap.raises(distorch2.DistorchError, *said):
                attach(network, model, sources={**record, **change})
        with tap.raises(TypeError, "prefix"):
            attach(network, model, sources=record, prefix="a.")
        assert not hasattr(network, "_distorch2_attachment")


def test_a_modules_own_parameters():
    path, state = saved()
    stock = load(state)
    network, record = trace(path, load)
    with loaded(path, "opencl:0,*") as model, torch.no_grad():
        with attach(network, model, sources=record, own=["embed.*", "kind"], missing=ones) as attachment:
            assert "embed.weight" not in attachment.unused and isinstance(network.embed.weight, nn.Parameter)
            assert torch.equal(network(x_of()), stock(x_of()))
            for each in (network, stock):
                each.embed.weight.copy_(torch.full((16, 16), 0.25))
                each.kind.mul_(3)
            assert torch.equal(network(x_of()), stock(x_of()))
        assert network.embed.weight.is_meta
        network.kind = nn.Parameter(torch.empty(16, device="meta"))
        sources = {name: pieces for name, pieces in record.items() if name != "kind"}
        with attach(network, model, sources=sources, missing={"steps": torch.linspace(0, 1, 16)}):
            with tap.raises(distorch2.FailedError, "kind", "not in the model"):
                network(x_of())
        with tap.raises(distorch2.UsageError, "kind", "[16]", "[2]"):
            attach(network, model, sources=sources, missing={"kind": torch.ones(2)})


class Strays(nn.Module):
    """Reads weights of its children by itself, and from outside of any forward."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return nn.functional.linear(self.inner(x), self.inner.out.weight, self.inner.out.bias)


def test_stand_ins_fetch_themselves_where_that_is_asked_for():
    path, state = saved(torch.float16)
    expected = load(state)
    network, record = trace(path, load)
    sources = {f"inner.{name}": pieces for name, pieces in record.items()}
    options = {"sources": sources, "dtype": "module", "missing": lambda name: with_steps(name.rpartition(".")[2])}
    for allocations in PLACES:
        with loaded(path, allocations) as model, torch.no_grad():
            strays = Strays(network)
            with attach(strays, model, **options), tap.raises(distorch2.FailedError, "inner.out.weight", "whole"):
                strays(x_of())
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with attach(strays, model, stray="fetch", **options) as attachment:
                    for _ in range(2):
                        assert torch.equal(strays(x_of()), Strays(expected)(x_of()))
                    attachment.session.park()
                    assert torch.equal(network.qkv.weight + 1, expected.qkv.weight + 1)
                    assert torch.equal(network.norm.weight.half(), expected.norm.weight.half())
                    with tap.raises(distorch2.FailedError, "qkv.weight", "mul_"):
                        network.qkv.weight.mul_(2)
            assert len(caught) == 1 and "inner.out.weight" in str(caught[0].message), [str(w.message) for w in caught]
    with loaded(path, SPREAD) as model, tap.raises(distorch2.UsageError, "stray", "fetch"):
        attach(network, model, sources=record, stray="ignore")


def test_a_state_dict_of_what_is_attached_can_be_saved():
    path, state = saved(torch.float16)
    expected = load(state).state_dict()
    network, record = trace(path, load)
    options = {"sources": record, "dtype": "module", "missing": with_steps}
    for allocations in PLACES:
        with loaded(path, allocations) as model, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with attach(network, model, stray="fetch", **options):
                network.requires_grad_(False)
                kept = io.BytesIO()
                torch.save(network.state_dict(), kept)
                kept.seek(0)
                again = network.state_dict()
                for found in (torch.load(kept), again):
                    assert set(found) == set(expected)
                    for name, each in expected.items():
                        assert found[name].numpy().tobytes() == each.numpy().tobytes(), name
                pointers = [each.untyped_storage().data_ptr() for each in again.values()]
                assert pointers == [each.data_ptr() for each in again.values()] and len(set(pointers)) == len(pointers)
                del again, found
            with attach(network, model, **options):  # what has no way to its bytes says so
                streams = [each for each in network.state_dict().values() if type(each) is not torch.Tensor]
                for each in streams:
                    with tap.raises(distorch2.FailedError, "asked for its bytes", "stray='fetch'"):
                        each.data_ptr()
                assert streams or allocations == "cpu,*"


if __name__ == "__main__":
    tap.run_tests()
