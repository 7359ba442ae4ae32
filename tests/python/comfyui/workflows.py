# SPDX-License-Identifier: BSD-3-Clause
"""Workflows in the form of ComfyUI's API, written with the stock loader or with ours."""

OURS = {
    "compute_device": "cpu",
    "virtual_vram_gb": 0.0,
    "donor_device": "cpu",
    "expert_mode_allocations": "",
    "eject_models": True,
}


class Workflow(dict):
    """Nodes by number; each call adds one, and gives its first output."""

    def add(self, node_type, **inputs):
        self[str(len(self) + 1)] = {"class_type": node_type, "inputs": inputs}
        return [str(len(self)), 0]

    def test(self, node, **inputs):
        return self.add(f"DisTorch2Test{node}", **inputs)

    # -- what each workflow has --

    def control(self, file, ours=None):
        """A loader: the stock one, or ours with the inputs of a mapping in the place of their defaults."""
        if ours is None:
            return self.add("ControlNetLoader", control_net_name=file)
        return self.add("DisTorch2ControlNetLoader", control_net_name=file, **{**OURS, **ours})

    def difference(self, file, model, ours=None):
        """The loader that is given a base model, likewise."""
        if ours is None:
            return self.add("DiffControlNetLoader", control_net_name=file, model=model)
        return self.add("DisTorch2DiffControlNetLoader", control_net_name=file, model=model, **{**OURS, **ours})

    def conditions(self, width=64, pooled=0):
        return tuple(self.test("Conditioning", seed=seed, width=width, pooled=pooled) for seed in (1, 2))

    def applied(self, conditions, control, *, size=64, hint=3, strength=0.8, start=0.0, end=1.0):
        """Both conditions with a control."""
        node = self.add(
            "ControlNetApplyAdvanced",
            positive=conditions[0],
            negative=conditions[1],
            control_net=control,
            image=self.test("Hint", seed=hint, size=size),
            strength=strength,
            start_percent=start,
            end_percent=end,
        )
        return node, [node[0], 1]

    def sampled(self, model, conditions, *, size=64, batch=1, steps=2, cfg=7.0, seed=5):
        samples = self.add(
            "KSampler",
            model=model,
            positive=conditions[0],
            negative=conditions[1],
            latent_image=self.add("EmptyLatentImage", width=size, height=size, batch_size=batch),
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        self.test("Latents", samples=samples)
        return samples


def plain(file, ours, kind="unet", **options):
    """One control in one sampling."""
    workflow = Workflow()
    wide = {"pooled": 2816, "width": 2048} if kind == "pooled mixer" else {"width": options.pop("width", 64)}
    sizes = {"size": options.get("size", 64)}
    conditions = workflow.applied(workflow.conditions(**wide), workflow.control(file, ours), **sizes)
    workflow.sampled(workflow.test("Model", kind=kind), conditions, **options)
    return workflow


def chain(files, ours, **options):
    """Several controls, each on the one before; the same file twice is one loader with two uses."""
    workflow = Workflow()
    loaders = {file: workflow.control(file, ours) for file in dict.fromkeys(files)}
    conditions = workflow.conditions()
    for i, file in enumerate(files):
        conditions = workflow.applied(conditions, loaders[file], hint=3 + i, strength=0.5 + 0.2 * i)
    kind = "mixer" if any("t2i" in file for file in files) else "unet"
    workflow.sampled(workflow.test("Model", kind=kind), conditions, **options)
    return workflow


def two_loaders(file, ours):
    """The same file in two loaders."""
    workflow = Workflow()
    conditions = workflow.conditions()
    for hint in (3, 4):
        more = None if ours is None else {**ours, "virtual_vram_gb": hint / 1000}
        conditions = workflow.applied(conditions, workflow.control(file, more), hint=hint)
    workflow.sampled(workflow.test("Model", kind="unet"), conditions)
    return workflow


def two_sizes(file, ours):
    workflow = Workflow()
    control, model = workflow.control(file, ours), workflow.test("Model", kind="unet")
    for size in (64, 128):
        conditions = workflow.applied(workflow.conditions(), control, size=size)
        workflow.sampled(model, conditions, size=size)
    return workflow


def ranges(file, ours):
    """A control for some of the steps, and another for some others."""
    workflow = Workflow()
    control = workflow.control(file, ours)
    conditions = workflow.applied(workflow.conditions(), control, strength=0.3, start=0.0, end=0.5)
    conditions = workflow.applied(conditions, control, strength=1.4, start=0.4, end=0.9, hint=4)
    workflow.sampled(workflow.test("Model", kind="unet"), conditions, steps=5)
    return workflow


def old_apply(file, ours):
    """The node that controls one condition alone; cfg 1 leaves the other out."""
    workflow = Workflow()
    one, other = workflow.conditions()
    hint = workflow.test("Hint", seed=3, size=64)
    one = workflow.add(
        "ControlNetApply", conditioning=one, control_net=workflow.control(file, ours), image=hint, strength=0.9
    )
    for cfg in (1.0, 5.0):
        workflow.sampled(workflow.test("Model", kind="unet"), (one, other), cfg=cfg)
    return workflow


def patched(file, ours):
    """A model with patches of other nodes, and a condition that holds for a part of the picture."""
    workflow = Workflow()
    model = workflow.test("Wrapped", model=workflow.test("Model", kind="unet"))
    conditions = workflow.applied(workflow.conditions(), workflow.control(file, ours), size=128)
    area = {"x": 0, "y": 0, "width": 64, "height": 64, "strength": 0.7}
    half = workflow.add("ConditioningSetArea", conditioning=conditions[0], **area)
    both = workflow.add("ConditioningCombine", conditioning_1=conditions[0], conditioning_2=half)
    workflow.sampled(model, (both, conditions[1]), size=128)
    return workflow


def difference(file, ours):
    """A control that was loaded with the base model at hand."""
    workflow = Workflow()
    model = workflow.test("Model", kind="unet")
    conditions = workflow.applied(workflow.conditions(), workflow.difference(file, model, ours))
    workflow.sampled(model, conditions)
    return workflow


def squeezed(file, ours):
    """Between two samplings a part of the memory is asked back: more each time."""
    workflow = Workflow()
    control, model = workflow.control(file, ours), workflow.test("Model", kind="unet")
    conditions = workflow.applied(workflow.conditions(), control)
    for i, share in enumerate((0.0, 0.01, 0.5, 1.0)):
        conditions = workflow.test("Squeeze", positive=conditions[0], negative=conditions[1], share=share)
        conditions = conditions, [conditions[0], 1]
        workflow.sampled(model, conditions, seed=50 + i)
    return workflow


def union(file, ours):
    """Several kinds of hint by one network."""
    workflow = Workflow()
    control = workflow.control(file, ours)
    model = workflow.test("Model", kind="pooled mixer")
    for kind in ("auto", "canny/lineart/anime_lineart/mlsd"):
        typed = workflow.add("SetUnionControlNetType", control_net=control, type=kind)
        conditions = workflow.applied(workflow.conditions(width=2048, pooled=2816), typed)
        workflow.sampled(model, conditions, steps=1)
    return workflow
