# SPDX-License-Identifier: BSD-3-Clause
"""ComfyUI's own server with the options by which people change how it manages memory: those that this ComfyUI has."""

import checkout as here
import tap

here.start()

import comfy.cli_args
import workflows as flow
from serving import latents
from test_server import SPREAD, equal, loaded, server, soon

KNOWN = comfy.cli_args.parser._option_string_actions
GROUPS = {
    "outputs of the last nodes": ["--cache-lru 6", "--disable-smart-memory", "--default-device 0"],
    "estimates of memory": ["--cache-classic", "--disable-dynamic-vram", "--cuda-device 0", "--disable-mmap"],
    "no memory for the cache, bf16": ["--cache-ram 4000", "--bf16-unet", "--reserve-vram 1"],
    "fp8": ["--fp8_e4m3fn-unet", "--async-offload", "--fast-disk", "--force-channels-last"],
}
"""Options that go together: a server takes seconds to start. --enable-dynamic-vram ComfyUI does not take with --cpu."""
VRAM = ("--novram", "--lowvram", "--highvram")
"""Which it does not either: the processor is taken for a GPU."""


def options_of(group):
    found = [each.split() for each in GROUPS[group] if each.split()[0] in KNOWN]
    return [word for option in found for word in option]


def case(group):
    def test():
        options = options_of(group)
        tap.diag(" ".join(options))
        chain = ["small.safetensors", "other.safetensors"]
        for name, workflow, more in (
            ("plain", flow.plain, {"file": "small.safetensors"}),
            ("chain", flow.chain, {"files": chain}),
            ("T2I adapter", flow.plain, {"file": "t2i.safetensors", "kind": "mixer"}),
        ):
            equal(f"{name}, {group}", workflow, options=options, allocations=(SPREAD,), forgets=False, **more)
        comfy = server(*options)
        expected = latents(comfy.run(flow.plain("small.safetensors", None, seed=41)))
        for share in (20, 40, 60):  # one network at a time, whatever is cached
            ours = {"expert_mode_allocations": f"cpu,{share}%;opencl:0,*"}
            comfy.free()
            assert soon(lambda: loaded(comfy) == 0), "it is loaded after /free"
            assert latents(comfy.run(flow.plain("small.safetensors", ours, seed=41))) == expected
            assert loaded(comfy) <= 1, "an output that was replaced is loaded still"
        assert "Traceback" not in comfy.said(), comfy.said()[-3000:]
        comfy.stop()

    return test


def case_of_vram(option):
    def test():
        more = {"env": {"DISTORCH2_TESTS_AS_GPU": "1"}}
        equal(option, flow.plain, file="small.safetensors", allocations=(SPREAD,), of=lambda: server(option, **more))
        chain = ["small.safetensors", "other.safetensors"]
        equal(option, flow.chain, files=chain, allocations=(SPREAD,), of=lambda: server(option, **more), forgets=False)
        comfy = server(option, **more)
        comfy.run(flow.plain("small.safetensors", {"expert_mode_allocations": SPREAD}, seed=43))
        comfy.post("/free", {"unload_models": True})
        assert soon(lambda: loaded(comfy) == 0), "it is loaded after /free"
        comfy.run(flow.plain("small.safetensors", {"expert_mode_allocations": SPREAD}, seed=44))  # which loads it again
        ((held, size),) = comfy.get("/distorch2-tests/held")
        assert held < size if option == "--novram" else held == size, (held, size)
        assert "Traceback" not in comfy.said(), comfy.said()[-3000:]
        comfy.stop()

    return test


if __name__ == "__main__":
    cases = {f"test_{group}": case(group) for group in GROUPS}
    tap.run_tests({**cases, **{f"test_{option}": case_of_vram(option) for option in VRAM}})
