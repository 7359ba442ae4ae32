# SPDX-License-Identifier: BSD-3-Clause
"""What other node packs do with controls and their networks, and files that are not as they should be: wherever ComfyUI's
own loader gives something that works, ours does."""

import gc
import os
import sys
import types

import checkout as here
import tap

here.start()

import comfy.controlnet
import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import made
import torch
from safetensors.torch import load_file, save_file

NODES = here.node_folder()
import distorch2_nodes.loading as loading  # noqa: E402
import distorch2_nodes.machine as machine  # noqa: E402
import distorch2_nodes.network as networks  # noqa: E402

SPREAD = "cpu,30%;opencl:0,*"
REQUEST = {"compute_device": "cpu", "virtual_vram_gb": 0.0, "donor_device": "cpu", "eject_models": True}
CONVOLUTION, LINEAR = "input_blocks.1.0.in_layers.2.weight", "time_embed.0.weight"
torch.set_num_threads(1)


def weights():
    return made.state(made._small(11), torch.float16)


def stock(name="small.safetensors"):
    path = f"{here.models()}/{name}"
    if not os.path.exists(path):
        made.small(path)
    return comfy.controlnet.load_controlnet(path)


def ours(name="small.safetensors", allocations=SPREAD):
    if "opencl:0" not in machine.donor_names():
        raise tap.Skip("there is no OpenCL device")
    stock(name)
    loader = NODES.NODE_CLASS_MAPPINGS["DisTorch2ControlNetLoader"]()
    return loader.load_controlnet(name, expert_mode_allocations=allocations, **REQUEST)["result"][0]


def random(*shape, seed=6):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Base:
    """What a sampler hands to a control of its model."""

    class Sampling:
        timestep = staticmethod(lambda value: value)
        calculate_input = staticmethod(lambda _, value: value)

    model_sampling, latent_format = Sampling, None


def sample(control):
    """What a sampler does with a control, once."""
    control = control.copy().set_cond_hint(random(1, 3, 64, 64, seed=5).sigmoid(), 0.7, (0.0, 1.0))
    management.load_models_gpu(control.get_models())
    control.pre_run(Base, lambda percent: 999.0 * (1 - percent))
    given = {"c_crossattn": random(2, 77, 64, seed=7)}
    with torch.inference_mode():
        found = control.get_control(random(2, 4, 8, 8), torch.tensor([500.0, 500.0]), given, 2, {})
    control.cleanup()
    return [each for key in sorted(found) for each in found[key] if each is not None]


def equal(one, other):
    assert len(one) == len(other) > 0
    return all(torch.equal(a, b) for a, b in zip(one, other))


def asleep(control):
    control.control_model_wrapped.detach()
    assert control.control_model_wrapped.loaded_size() == 0
    return control


# -- who asks a network what it is like, and reads it --


def said(module):
    first = next(module.parameters())
    tensors = [(name, tuple(each.shape), each.dtype) for name, each in module.state_dict().items()]
    return module.dtype, first.dtype, first.device, sum(each.nbytes for each in module.parameters()), tensors


def test_a_network_says_of_itself_what_the_stock_one_says():
    expected = said(stock().control_model)
    control = ours()
    assert said(control.control_model) == expected
    assert said(asleep(control).control_model) == expected
    assert control.control_model_wrapped.loaded_size() == 0, "to ask wakes nothing"


def test_weights_are_read_whether_it_sleeps_or_not():
    expected = {name: each.clone() for name, each in stock().control_model.state_dict().items()}
    for control in (ours(), asleep(ours())):
        found = {name: each.clone() for name, each in control.control_model.state_dict().items()}
        assert set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)
        assert equal(sample(control), sample(stock()))


def test_its_state_dict_is_saved():
    expected, path = stock().control_model.state_dict(), f"{here.models()}/saved"
    for control in (ours(), asleep(ours()), ours(allocations="cpu,*")):
        save_file(control.control_model.state_dict(), f"{path}.safetensors")
        comfy.utils.save_torch_file(control.control_model.state_dict(), f"{path}.sft")
        torch.save(control.control_model.state_dict(), f"{path}.pth")
        for found in (load_file(f"{path}.safetensors"), load_file(f"{path}.sft"), torch.load(f"{path}.pth")):
            assert set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)
        del found
        asleep(control)
    assert not machine.context().models, "who saved it keeps it"


def test_who_moves_it_and_hooks_to_it():
    expected, called = sample(stock()), []
    for control in (ours(), asleep(ours())):
        module = control.control_model
        module.to("cpu").float().eval().requires_grad_(False).to(memory_format=torch.channels_last)
        module.register_forward_hook(lambda *_: called.append(1))
        inside = module.forward
        module.forward = lambda *given, inside=inside, **named: inside(*given, **named)
        assert equal(sample(control), expected)
    assert called == [1, 1]


# -- who makes controls of their own of one --


class Wrapping(comfy.controlnet.ControlNet):
    """As packs do it whose controls have more to them: made anew of another's parts."""

    def copy(self):
        return wrapped(self)


def wrapped(control):
    made_of = Wrapping(
        control.control_model,
        global_average_pooling=control.global_average_pooling,
        load_device=control.load_device,
        manual_cast_dtype=control.manual_cast_dtype,
    )
    control.copy_to(made_of)
    return made_of


def test_a_control_made_anew_with_a_patcher_of_its_own():
    expected, control = sample(wrapped(stock())), ours()
    for given in (wrapped(control), wrapped(asleep(control))):
        assert type(given.control_model_wrapped) is not type(control.control_model_wrapped)
        assert equal(sample(given), expected)
        management.unload_all_models()
        assert equal(sample(given), expected), "and after it was unloaded"


def test_a_control_made_anew_with_a_clone_of_the_patcher():
    expected, control = sample(stock()), ours()
    given = wrapped(control)
    given.control_model_wrapped = control.control_model_wrapped.clone()
    assert type(given.control_model_wrapped) is type(control.control_model_wrapped)
    assert given.control_model_wrapped.is_clone(control.control_model_wrapped)
    assert equal(sample(given), expected) and equal(sample(control), expected)


# -- patches to weights --


def patch(control, strength, clone):
    """A control with a change of two of its weights, as a LoRA for it is one."""
    patcher = control.control_model_wrapped.clone() if clone else control.control_model_wrapped
    shapes = {name: each.shape for name, each in stock().control_model.state_dict().items()}
    changes = {name: ("diff", (random(*shapes[name], seed=3) * 0.1,)) for name in (CONVOLUTION, LINEAR)}
    assert len(patcher.add_patches(changes, strength)) == len(changes)
    control = control.copy()
    control.control_model_wrapped = patcher
    return control


def test_patches_to_weights_are_worked_out_as_the_stock_loader_does():
    without = sample(stock())
    for clone in (False, True):
        for control in (ours(), asleep(ours()), ours(allocations="cpu,*")):
            expected = sample(patch(stock(), 0.7, clone))
            assert not equal(expected, without), "a patch that changes nothing"
            changed = patch(control, 0.7, clone)
            assert equal(sample(changed), expected)
            if clone:
                assert equal(sample(control), without), "who was cloned has no patches"
                assert equal(sample(patch(control, -0.4, clone)), sample(patch(stock(), -0.4, clone)))
                assert equal(sample(changed), expected)


def test_objects_of_others_are_there_while_it_is_loaded():
    control = ours()
    patcher = control.control_model_wrapped.clone()
    patcher.add_object_patch("time_embed.1", torch.nn.ReLU())
    changed = control.copy()
    changed.control_model_wrapped = patcher
    reference = stock()
    reference.control_model_wrapped.add_object_patch("time_embed.1", torch.nn.ReLU())
    assert equal(sample(changed), sample(reference))
    patcher.detach()
    assert type(control.control_model.time_embed[1]) is torch.nn.SiLU
    assert equal(sample(control), sample(stock()))


# -- files --


def test_files_in_every_form_that_comfy_reads():
    tensors, folder = weights(), here.models()
    torch.save(tensors, f"{folder}/plain.ckpt")
    torch.save({"state_dict": tensors, "global_step": 3, "epoch": 1}, f"{folder}/training.ckpt")
    torch.save(tensors, f"{folder}/old.pth", _use_new_zipfile_serialization=False)
    torch.save({"model": {name: torch.nn.Parameter(each) for name, each in tensors.items()}}, f"{folder}/model.bin")
    strided = {name: each.t().contiguous().t() if each.dim() == 2 else each for name, each in tensors.items()}
    torch.save(strided, f"{folder}/strided.pt")
    save_file(tensors, f"{folder}/short.sft")
    unlike = {name: each.float() if i % 3 else each for i, (name, each) in enumerate(tensors.items())}
    save_file({**unlike, "more": torch.ones(3)}, f"{folder}/unlike.safetensors")
    save_file({f"control_model.{name}": each.double() for name, each in tensors.items()}, f"{folder}/f64.safetensors")
    tensors_in = ("plain.ckpt", "training.ckpt", "old.pth", "model.bin", "strided.pt", "short.sft")
    for name in (*tensors_in, "unlike.safetensors", "f64.safetensors"):
        spread(name)


def spread(name):
    control = ours(name)
    assert hasattr(control.control_model, "_distorch2_network"), f"{name} is not spread"
    assert equal(sample(control), sample(stock(name))), name


def test_a_file_that_lacks_weights():
    tensors = weights()
    lacks = [name for name in tensors if name.startswith("middle_block_out")]
    save_file({name: each for name, each in tensors.items() if name not in lacks}, f"{here.models()}/less.safetensors")
    full, found = sample(stock()), sample(ours("less.safetensors"))
    same = [torch.equal(one, other) for one, other in zip(full, found)]
    assert same.count(False) == 1, "one output is of weights that nobody has"
    assert not found[same.index(False)].any()


def test_a_loader_that_looks_at_values_is_left_to_itself():
    real = comfy.controlnet.load_controlnet_state_dict

    def looking(tensors, *given, **named):
        assert float(tensors[LINEAR].float().sum()) != 0.25
        return real(tensors, *given, **named)

    comfy.controlnet.load_controlnet_state_dict = looking
    try:
        stock()
        control, network, why = loading.load_control(
            f"{here.models()}/small.safetensors", {**REQUEST, "expert_mode_allocations": SPREAD}
        )
    finally:
        comfy.controlnet.load_controlnet_state_dict = real
    assert network is None and "is not spread" in why and "\n" not in why, why
    assert equal(sample(control), sample(stock()))


# -- what must not stay --


def test_who_ends_while_another_is_unloaded():
    """Unloading may end other networks, which unload themselves in the middle of it."""

    class Model:
        def __init__(self, inside=None):
            self.closed, self.inside = 0, inside

        def unload(self):
            assert not self.closed, "it is closed already"
            if self.inside:
                self.inside()

        def close(self):
            self.closed += 1

    other = Model()
    models = [other, Model(lambda: networks._let_go(Model()))]
    networks._leaving.append(other)
    networks._let_go(models[1])
    assert [each.closed for each in models] == [1, 1] and not networks._leaving


def test_what_is_in_a_cycle_is_unloaded_as_well():
    gc.collect()
    control = ours()
    inside = control.control_model.forward
    control.control_model.forward = lambda *given, **named: inside(*given, **named)
    sample(control)
    del control, inside
    gc.collect()
    assert not machine.context().models and not networks._models


def test_networks_end_with_their_controls():
    gc.collect()
    gc.disable()
    try:
        control = asleep(ours())
        sample(control)
        copies = [control.copy(), wrapped(control)]
        management.unload_all_models()
        del control, copies
        assert not machine.context().models
        assert not [each for each in gc.get_objects() if type(each) is networks.Network], "a network is there still"
    finally:
        gc.enable()


def test_a_cache_that_is_short_of_memory_lets_go_of_it_first():
    import comfy_execution.caching as caching

    if not hasattr(caching, "RAMPressureCache"):
        raise tap.Skip("this ComfyUI has no cache that looks at the memory that is free")
    control = ours(allocations="cpu,*")
    cache = caching.RAMPressureCache(caching.CacheKeySetID)
    outputs = {"ours": [[control]], "a picture": [[torch.zeros(1, 64, 64, 3)]], "a text": [["text"]]}
    for key, each in outputs.items():
        cache.cache[key], cache.timestamps[key] = types.SimpleNamespace(outputs=each), len(cache.cache)
        cache.used_generation[key] = cache.generation - 1
    del control, outputs, each
    gc.collect()
    looks = [name for name in ("virtual_memory_available", "psutil") if hasattr(caching, name)]
    free = lambda: 10 if "ours" not in cache.cache else 0  # noqa: E731
    fakes = {"virtual_memory_available": free}
    fakes["psutil"] = types.SimpleNamespace(virtual_memory=lambda: types.SimpleNamespace(available=free()))
    kept = {name: getattr(caching, name) for name in looks}
    try:
        for name in looks:
            setattr(caching, name, fakes[name])
        cache.ram_release(10)
    finally:
        for name, real in kept.items():
            setattr(caching, name, real)
    gc.collect()
    assert set(cache.cache) == {"a picture", "a text"}, set(cache.cache)
    assert not machine.context().models, "what was let go of is loaded"


# -- the package --


def test_a_package_that_is_not_the_one():
    import distorch2

    kept = distorch2.__version__
    try:
        for version in ("0.0.9", "0.2.0", "1.1", "99"):
            distorch2.__version__ = version
            assert version in machine.missing() and "release" in machine.missing(), machine.missing()
        distorch2.__version__ = f"{kept}.post1"
        assert machine.missing() is None
    finally:
        distorch2.__version__ = kept
    assert machine.missing() is None
    shadow = types.ModuleType("distorch2")
    shadow.__file__ = f"{os.path.abspath(here.FOLDER)}/__init__.py"
    sys.modules["distorch2"] = shadow
    try:
        assert "another name" in machine.missing()
    finally:
        sys.modules["distorch2"] = distorch2


def test_who_compiles_it():
    """The last one: what compiles keeps what it has seen."""
    control = ours()
    control.control_model = torch.compile(control.control_model, backend="eager")
    assert equal(sample(control), sample(stock()))


if __name__ == "__main__":
    tap.run_tests()
