# SPDX-License-Identifier: BSD-3-Clause
"""Our nodes in a ComfyUI without a server: what they say, what becomes of a network, and what they leave to the stock
loader."""

import gc
import json
import logging
import os
import subprocess
import sys
import types

import checkout as here
import tap

here.start()

import comfy.controlnet
import comfy.model_management as management
import comfy.t2i_adapter.adapter as adapters
import folder_paths
import made
import torch
from safetensors.torch import save_file

NODES = here.node_folder()
import distorch2_nodes.machine as machine  # noqa: E402
import distorch2_nodes.network as networks  # noqa: E402

LOADER = NODES.NODE_CLASS_MAPPINGS["DisTorch2ControlNetLoader"]
REQUEST = {"compute_device": "cpu", "virtual_vram_gb": 0.0, "donor_device": "cpu", "eject_models": True}
SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
torch.set_num_threads(2)


def adapter(name="light.safetensors", **more):
    """A small T2I adapter's file."""
    torch.manual_seed(31)
    state = adapters.Adapter_light(cin=192, channels=[320, 640, 1280, 1280], nums_rb=4).state_dict()
    state = {key: torch.randn(each.shape) * 0.05 for key, each in state.items()}
    save_file({**state, **more}, f"{here.models()}/{name}")
    return name


def loaded(name, allocations=SPREAD, **more):
    if "opencl:1" not in machine.donor_names():
        raise tap.Skip("there are no two OpenCL devices")
    return LOADER().load_controlnet(name, expert_mode_allocations=allocations, **{**REQUEST, **more})["result"][0]


def stock(name):
    return comfy.controlnet.load_controlnet(f"{here.models()}/{name}")


def sample(control, size=64):
    """What a sampler does with a control, once."""
    control = control.copy().set_cond_hint(hint(size), 0.7, (0.0, 1.0))
    management.load_models_gpu(control.get_models())
    control.pre_run(None, lambda percent: 999.0 * (1 - percent))
    noisy = torch.randn(2, 4, size // 8, size // 8, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        found = control.get_control(noisy, torch.tensor([500.0, 500.0]), {"c_crossattn": None}, 2, {})
    control.cleanup()
    return [each for key in sorted(found) for each in found[key] if each is not None]


def hint(size):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(5))


def equal(one, other):
    assert len(one) == len(other) > 0
    return all(torch.equal(a, b) for a, b in zip(one, other))


def awake():
    return len(machine.context().models)


def inputs_of(kind):
    """The inputs of a node that have widgets or sockets, in their order."""
    found = kind.INPUT_TYPES()
    return {**found.get("required", {}), **found.get("optional", {})}


def test_inputs_are_those_of_the_published_node():
    adapter()
    inputs = inputs_of(LOADER)
    names = ["control_net_name", "compute_device", "virtual_vram_gb", "donor_device", "expert_mode_allocations"]
    assert list(inputs) == [*names, "eject_models"]
    assert "light.safetensors" in inputs["control_net_name"][0] and "cpu" in inputs["compute_device"][0]
    assert "cpu" in inputs["donor_device"][0] and not [n for n in inputs["compute_device"][0] if "opencl" in n]
    number = inputs["virtual_vram_gb"][1]
    assert (number["default"], number["min"], number["max"]) == (4.0, 0.0, 128.0)
    assert inputs["expert_mode_allocations"][0] == "STRING" and inputs["eject_models"][1]["default"] is True
    for kind in NODES.NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(kind(), kind.FUNCTION)) and kind.CATEGORY and isinstance(kind.INPUT_TYPES(), dict)
    difference = inputs_of(NODES.NODE_CLASS_MAPPINGS["DisTorch2DiffControlNetLoader"])
    assert difference["model"][0] == "MODEL" and list(difference)[1:] == list(inputs)
    assert list(LOADER.INPUT_TYPES()["required"]) == ["control_net_name"], "the published node has the others optional"


def test_what_is_typed_is_checked():
    assert LOADER.VALIDATE_INPUTS("") is True and LOADER.VALIDATE_INPUTS("cpu,*") is True
    said = LOADER.VALIDATE_INPUTS("cpu,30%;opencl:77,*")
    assert isinstance(said, str) and "opencl:77" in said and "\n" not in said


def test_a_network_sleeps_and_wakes():
    name = adapter()
    expected, control = sample(stock(name)), loaded(name)
    (patcher,) = control.get_models()
    assert patcher.load_device == torch.device("cpu") and patcher.is_clone(patcher.clone())
    assert patcher.loaded_size() == patcher.model_size() > 0
    for turn in range(3):
        assert equal(sample(control), expected) and awake() == 1
        if turn == 1:
            size = patcher.model_size()
            window = patcher.partially_unload(None, 1)
            assert 0 < window == size - patcher.loaded_size() and awake() == 1
            assert equal(sample(control), expected) and patcher.loaded_size() == size
            assert patcher.partially_unload(None, 1e30) > window and patcher.loaded_size() < size - window
            assert equal(sample(control), expected) and patcher.loaded_size() == size and awake() == 1
        else:
            management.unload_all_models()
            assert patcher.loaded_size() == 0 and awake() == 0
    patcher.detach(unpatch_all=False)
    assert patcher.loaded_size() == 0
    control.t2i_model.to(torch.float32).cpu()
    features = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():  # asleep, and called after all
        woken, same = control.t2i_model(features), stock(name).t2i_model(features)
    assert patcher.loaded_size() > 0 and set(woken) == set(same)
    patcher.detach(unpatch_all=False)
    assert patcher.loaded_size() > 0
    assert equal(sample(control), expected)
    assert equal(sample(control.copy(), 128), sample(stock(name), 128))


def test_what_nobody_has_is_gone():
    control = loaded(adapter())
    sample(control)
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    gc.disable()
    try:
        del control
        assert awake() == 0, "it is loaded still"
        management.cleanup_models_gc()
    finally:
        gc.enable()
        logging.getLogger().removeHandler(handler)
    assert not [line for line in seen if "leak" in line], seen


def test_what_somebody_looks_at_goes_when_it_can():
    control = loaded(adapter(), "cpu,*")
    kept = next(control.t2i_model.parameters()).detach()
    value = kept.clone()
    control.patcher.detach()
    assert control.patcher.loaded_size() == 0 and awake() == 1 and torch.equal(kept, value)
    del kept
    other = loaded(adapter("two.safetensors"))
    assert awake() == 1, "what was looked at is loaded still"
    assert equal(sample(control), sample(stock("light.safetensors"))) and other is not None


def test_a_chain_whose_members_eject_each_other():
    first, second = adapter("one.safetensors"), adapter("two.safetensors")
    one, two = loaded(first), loaded(second)
    assert awake() == 1, "the second ejects the first"
    expected = sample(stock(second).set_previous_controlnet(stock(first)))
    chain = two.copy()
    chain.set_previous_controlnet(one.copy().set_cond_hint(hint(64)))
    before = stock(second)
    before.set_previous_controlnet(stock(first).set_cond_hint(hint(64)))
    assert expected is not None
    assert equal(sample_chain(chain), sample_chain(before))
    assert awake() == 2, "what samples together is there together"
    kept = loaded(first, eject_models=False)
    assert awake() >= 2 and equal(sample(kept), sample(stock(first)))


def sample_chain(control):
    control.set_cond_hint(hint(64), 0.7, (0.0, 1.0))
    management.load_models_gpu(control.get_models())
    control.pre_run(None, lambda percent: 999.0 * (1 - percent))
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        found = control.get_control(noisy, torch.tensor([500.0, 500.0]), {"c_crossattn": None}, 2, {})
    control.cleanup()
    return [each for key in sorted(found) for each in found[key] if each is not None]


def test_what_cannot_be_spread_is_loaded_by_comfy():
    from distorch2_nodes import loading

    weights = {"lora_controlnet": torch.ones(1), "input_hint_block.0.weight": torch.ones(4, 3, 3, 3)}
    save_file(weights, f"{here.models()}/lora.safetensors")
    control, network, why = loading.load_control(f"{here.models()}/lora.safetensors", {**REQUEST})
    assert type(control).__name__ == "ControlLora" and network is None and "Control-LoRA" in why
    for names in (["a.weight", "a.comfy_quant"], ["a.weight", "a.scale_weight"], ["a.weight", "scaled_fp8"]):
        with tap.raises(loading.CannotSpread, "quantised"):
            loading._check(names)
    said = LOADER().load_controlnet("lora.safetensors", expert_mode_allocations=SPREAD, **REQUEST)
    assert "Control-LoRA" in said["ui"]["text"][0] and type(said["result"][0]).__name__ == "ControlLora"


def test_errors_are_one_sentence():
    save_file({"nothing.weight": torch.ones(3)}, f"{here.models()}/nothing.safetensors")
    with tap.raises(RuntimeError, "no ControlNet"):
        loaded("nothing.safetensors")
    with tap.raises(RuntimeError, "opencl:77") as caught:
        loaded(adapter(), "cpu,30%;opencl:77,*")
    assert "\n" not in str(caught[0])
    with tap.raises(Exception, "gone.safetensors"):
        loaded("gone.safetensors")
    assert awake() == 0


def test_what_does_not_fit_is_one_sentence_with_what_would():
    import distorch2

    name, load = adapter(), networks.Network._load

    def refuse(_self, **_):
        raise distorch2.NoFitError("budget cuda:0 is short by 5 bytes:\nmore", "--virtual-vram-gb 0.5 would fit")

    networks.Network._load = refuse
    try:
        with tap.raises(RuntimeError, "short by 5 bytes", "0.5 would fit") as caught:
            loaded(name)
    finally:
        networks.Network._load = load
    assert "\n" not in str(caught[0]) and awake() == 0


def test_a_node_has_one_network_at_a_time():
    first, second = adapter("one.safetensors"), adapter("two.safetensors")
    expected = sample(stock(first))
    one = loaded(first, unique_id="7", eject_models=False)
    two = loaded(second, unique_id="7", eject_models=False)
    assert awake() == 1, "what the node loaded before is loaded still"
    assert equal(sample(one), expected) and equal(sample(two), sample(stock(second)))


def test_comfy_unloads_what_was_never_sampled():
    control = loaded(adapter())
    assert awake() == 1
    management.unload_all_models()
    assert awake() == 0 and control.patcher.loaded_size() == 0


def test_a_cache_of_outputs_is_told_the_size():
    control = loaded(adapter(), "cpu,*")
    (tensor,) = control._comfy_cache_tensors()
    assert tensor.numel() * tensor.element_size() >= os.path.getsize(f"{here.models()}/light.safetensors") - 65536
    assert tensor.device.type == "cpu" and tensor.untyped_storage().nbytes() == 1
    control.patcher.detach()
    assert control._comfy_cache_tensors()[0].numel() == 0


def test_a_sampling_takes_no_more_than_there_is_room_for():
    name = adapter()
    control = loaded(name)
    (patcher,) = control.get_models()
    size, features = patcher.model_size(), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        expected = stock(name).t2i_model(features)
        for room in (1, size // 2):
            patcher.detach()
            taken = patcher.partially_load(patcher.load_device, room)
            assert taken == patcher.loaded_size() < size, (room, taken, size)
            assert same_features(control.t2i_model(features), expected)
        before = patcher.loaded_size()
        assert patcher.partially_load(patcher.load_device, -before // 2) < 0, "less room than it has already"
        assert same_features(control.t2i_model(features), expected)
        assert patcher.partially_load(patcher.load_device, 1e32) > 0 and patcher.loaded_size() == size
        assert same_features(control.t2i_model(features), expected)


def test_whatever_comfy_was_told_of_memory():
    """What --lowvram, --novram and --highvram say, and a GPU that is full: with the processor taken for a GPU."""
    name, states = adapter(), management.VRAMState
    expected, free, takes = sample(stock(name)), [1 << 40], {}
    fakes = {"is_device_cpu": lambda _: False, "get_free_memory": lambda *given, **_: free[0]}
    kept = {each: getattr(management, each) for each in (*fakes, "vram_state")}
    control = loaded(name)
    (patcher,) = control.get_models()
    for key, fake in fakes.items():
        setattr(management, key, fake)
    try:
        for state in (states.HIGH_VRAM, states.NORMAL_VRAM, states.LOW_VRAM, states.NO_VRAM):
            for free[0] in (1 << 40, 0):
                management.unload_all_models()
                management.vram_state = state
                assert equal(sample(control), expected), (state, free)
                takes[state, free[0]] = patcher.loaded_size()
    finally:
        for key, real in kept.items():
            setattr(management, key, real)
    full = patcher.model_size()
    for state in (states.HIGH_VRAM, states.NORMAL_VRAM, states.LOW_VRAM):
        assert takes[state, 1 << 40] == full, takes
    assert takes[states.NO_VRAM, 1 << 40] < full, (takes, full)


def same_features(one, other):
    assert set(one) == set(other) and one
    return all(equal([a for a in one[key] if a is not None], [b for b in other[key] if b is not None]) for key in one)


def test_a_sampling_runs_where_what_was_asked_for_does_not_fit_any_more():
    import distorch2

    name = adapter()
    expected, control = sample(stock(name)), loaded(name, "cpu,60%;opencl:0,*")
    network = control.t2i_model._distorch2_network
    asked, plan = network.cost, network.plan
    network.sleep()
    # The donor here is host memory as well: what can be saved is a part of the window.
    spread = sum(share.bytes for share in plan.shares)
    network._request["budgets"] = {"cpu": spread + plan.window_bytes // 2}
    with tap.raises(distorch2.NoFitError, "cpu"):
        network.wake()
    assert awake() == 0 and equal(sample(control), expected), "a sampling is to run"
    assert network.plan.window_bytes < plan.window_bytes and network.plan.warnings, network.plan.warnings
    network.sleep()
    del network._request["budgets"]
    assert equal(sample(control), expected) and network.cost == asked and not network.plan.warnings


def test_comfy_knows_better_what_is_free_and_what_may_go():
    gpu, asked = torch.device("cuda", 1), []
    pages = types.ModuleType("comfy_aimdo.model_vbar")
    pages.vbars_analyze = lambda index: 1000 * (index + 1)
    paged = types.ModuleType("comfy.memory_management")
    paged.aimdo_enabled = True
    fakes = (
        (machine, "torch_device_of", {"cuda:1": gpu, "cpu": torch.device("cpu")}.get),
        (management, "get_free_memory", lambda device: 7 + 90 * len(asked)),
        (management, "free_memory", lambda wanted, device, keep_loaded: asked.append((device, wanted, keep_loaded))),
    )
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in fakes]
    modules = {"comfy_aimdo": types.ModuleType("comfy_aimdo"), pages.__name__: pages, paged.__name__: paged}
    known = {name: sys.modules.get(name) for name in modules}
    try:
        for owner, name, fake in fakes:
            setattr(owner, name, fake)
        sys.modules[paged.__name__] = None
        assert machine.available("cuda:1", 3) == 7
        sys.modules.update(modules)
        modules["comfy_aimdo"].model_vbar = pages
        assert machine.available("cuda:1", 3) == 2007
        assert machine.available("opencl:0", 3) is None and machine.available("cpu", 3) is None
        assert networks._release(["used"], "opencl:0", 50) == 0 and not asked
        assert networks._release(["used"], "cuda:1", 50) == 90
    finally:
        for owner, name, real in kept:
            setattr(owner, name, real)
        for name, real in known.items():
            sys.modules.pop(name, None)
            if real is not None:
                sys.modules[name] = real
    ((device, wanted, spared),) = asked
    assert device == gpu and wanted >= 57 and spared == ["used"], "what is sampled with is to stay"


def test_a_file_that_changed_is_loaded_anew():
    name, path = adapter(), f"{here.models()}/light.safetensors"
    first = LOADER.IS_CHANGED(control_net_name=name, **REQUEST)
    assert first and LOADER.IS_CHANGED(control_net_name=name, **REQUEST) == first
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content)
    assert LOADER.IS_CHANGED(control_net_name=name, **REQUEST) != first
    assert LOADER.IS_CHANGED(control_net_name="gone.safetensors") == LOADER.IS_CHANGED(control_net_name=None) == ""


def test_an_interrupt_ends_a_load():
    name = adapter()
    control = loaded(name)
    control.get_models()[0].detach()
    management.interrupt_current_processing(True)
    with tap.raises(management.InterruptProcessingException):
        loaded(name)
    assert awake() == 0
    management.interrupt_current_processing(False)
    assert equal(sample(control), sample(stock(name)))


def test_a_plan_and_the_devices_are_said():
    name, before = adapter(), awake()
    plan = NODES.NODE_CLASS_MAPPINGS["DisTorch2Plan"]().plan(name, expert_mode_allocations=SPREAD, **REQUEST)
    text, picture = plan["result"]
    assert "opencl:1" in text and "window" in text and awake() == before
    assert picture.dim() == 4 and picture.shape[-1] == 3 and 0 <= picture.min() < picture.max() <= 1
    bar = {tuple(pixel.tolist()) for pixel in picture[0, 60]}
    assert len(bar) >= 4, "a colour for each device, and the paper"
    (shown,) = plan["ui"]["images"]
    assert shown["type"] == "temp" and os.path.isfile(f"{folder_paths.get_temp_directory()}/{shown['filename']}")
    assert "cpu" in NODES.NODE_CLASS_MAPPINGS["DisTorch2Devices"]().devices()["result"][0]
    made.lora(f"{here.models()}/low.safetensors")
    plan = NODES.NODE_CLASS_MAPPINGS["DisTorch2Plan"]().plan(
        "low.safetensors", expert_mode_allocations=SPREAD, **REQUEST
    )
    assert "low.safetensors is not spread" in plan["result"][0] and "opencl" not in plan["result"][0], plan["result"][0]


def test_a_copy_for_several_gpus_is_refused():
    import copy

    control = loaded(adapter())
    (patcher,) = control.get_models()
    device = torch.device("cpu")
    for clones in (
        lambda: copy.deepcopy(control.t2i_model),
        lambda: patcher.deepclone_multigpu(new_load_device=device, models_cache={}),
        lambda: patcher.clone(force_deepcopy=True),
        *([lambda: control.deepclone_multigpu(device)] if hasattr(control, "deepclone_multigpu") else []),
    ):
        with tap.raises(TypeError, "several GPUs", "ComfyUI's own loader") as caught:
            clones()
        assert "\n" not in str(caught[0])
    assert equal(sample(control), sample(stock("light.safetensors"))), "who was asked goes on working"


def test_a_published_name_is_left_to_who_has_it():
    import nodes

    taken = "ControlNetLoaderDisTorch2MultiGPU"
    nodes.NODE_CLASS_MAPPINGS[taken] = object
    try:
        names = set(here.node_folder("distorch2_beside_another").NODE_CLASS_MAPPINGS)
    finally:
        del nodes.NODE_CLASS_MAPPINGS[taken]
    assert names == set(NODES.NODE_CLASS_MAPPINGS) - {taken} and taken in NODES.NODE_CLASS_MAPPINGS


def test_an_import_opens_nothing():
    program = (
        "import sys, time, importlib.util, logging\n"
        f"spec = importlib.util.spec_from_file_location('n', '{here.FOLDER}/__init__.py', "
        f"submodule_search_locations=['{here.FOLDER}'])\n"
        "begin = time.process_time()\n"
        "package = sys.modules['n'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(package)\n"
        "print(time.process_time() - begin, 'torch' in sys.modules, 'distorch2' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, *imported = done.stdout.split()
    assert float(seconds) < 0.1 and imported == ["False", "False"], done.stdout
    missing = program + "print(package.nodes.ControlNetLoader.VALIDATE_INPUTS('cpu,*'))\n"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True, env=environment)
    assert "pip install distorch2" in done.stdout, done.stdout + done.stderr
    for content, words in (("raise OSError('half a library')", "half a library"), ("__version__ = '0.0.9'", "0.0.9")):
        os.makedirs(tap.scratch("broken/distorch2"), exist_ok=True)
        with open(tap.scratch("broken/distorch2/__init__.py"), "w", encoding="ascii") as file:
            file.write(content)
        environment["PYTHONPATH"] = tap.scratch("broken")
        done = subprocess.run([sys.executable, "-B", "-c", missing], capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and words in done.stdout, done.stdout + done.stderr


def _texts(path):
    with open(f"{here.FOLDER}/{path}", encoding="utf-8") as file:
        return json.load(file)


def test_languages_and_help_are_those_of_the_nodes():
    for language in ("en", "zh"):
        texts = _texts(f"locales/{language}/nodeDefs.json")
        assert set(texts) == set(NODES.NODE_CLASS_MAPPINGS), language
        for name, kind in NODES.NODE_CLASS_MAPPINGS.items():
            inputs, said = inputs_of(kind), texts[name]
            assert list(said["inputs"]) == list(inputs), (language, name)
            assert set(said["outputs"]) == set(map(str, range(len(kind.RETURN_TYPES)))), (language, name)
            if language == "en":
                assert said["display_name"] == kind.TITLE and said["description"]
    for name, kind in NODES.NODE_CLASS_MAPPINGS.items():
        with open(f"{here.FOLDER}/web/docs/{name}.md", encoding="utf-8") as page:
            assert page.readline().strip() == f"# {kind.TITLE}", name
        for _, (_, *options) in inputs_of(kind).items():
            assert options and options[0]["tooltip"], name


def test_templates_are_of_nodes_that_are_there():
    import nodes

    known = {**nodes.NODE_CLASS_MAPPINGS, **NODES.NODE_CLASS_MAPPINGS}
    for name in os.listdir(f"{here.FOLDER}/example_workflows"):
        workflow = _texts(f"example_workflows/{name}")
        ours = [node for node in workflow["nodes"] if node["type"] in NODES.NODE_CLASS_MAPPINGS]
        assert ours and all(node["type"] in {*known, "MarkdownNote"} for node in workflow["nodes"]), name
        for node in ours:
            assert not node.get("widgets_values"), f"{name}: files and devices are of one machine, defaults of any"
        ends = {node["id"]: node for node in workflow["nodes"]}
        for link, source, slot, target, at, kind in workflow["links"]:
            assert link in ends[source]["outputs"][slot]["links"] and ends[target]["inputs"][at]["link"] == link
            assert ends[source]["outputs"][slot]["type"] == kind == ends[target]["inputs"][at]["type"], (name, link)


if __name__ == "__main__":
    assert networks
    tap.run_tests()
