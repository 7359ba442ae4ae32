# SPDX-License-Identifier: BSD-3-Clause
"""distorch2.torch.trace: what a loader does with tensors that have no bytes is written down as it is.

Each loader runs twice, on real tensors and on the ledger's; what the record says is put together from the real tensors
by plain indexing, and is to be the weight that the loader made.
"""

import os
import random
import re

import distorch2
import tap
import torch
from distorch2.torch import DTYPES, Ledger, Piece, trace
from torch import nn

SEED = int(os.environ.get("TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
torch.set_num_threads(1)


def put_together(record, name, state):
    """A weight by what the record says of it, and nothing else."""
    pieces = [state[each.tensor].reshape(-1)[each.first : each.first + each.count] for each in record[name]]
    flat = torch.cat(pieces)
    for dtype in record.via.get(name, ()):
        flat = flat.to(dtype)
    return flat.to(record.dtypes[name]).reshape(record.shapes[name])


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def weights_of(module):
    """All parameters and buffers, tied ones under each of their names."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def check(state, build, lost=(), missing=()):
    """Runs a loader both ways, and holds every weight against the record."""
    torch.manual_seed(SEED)
    real = build({name: tensor.clone() for name, tensor in state.items()})
    module, record = trace(state, build, strict=False)
    assert sorted(record.lost) == sorted(lost), f"{record.lost}"
    assert sorted(record.missing) == sorted(missing), f"{record.missing}"
    expected = weights_of(real)
    assert set(record.shapes) == set(expected) == set(weights_of(module))
    for name, tensor in expected.items():
        assert record.shapes[name] == tuple(tensor.shape) and record.dtypes[name] == tensor.dtype, name
        if name in record:
            assert torch.equal(bits(put_together(record, name, state)), bits(tensor)), name
        elif name in record.own:
            assert torch.equal(bits(record.own[name]), bits(tensor)), name
        else:
            assert name in record.lost or name in record.missing, f"nothing is said of {name}"
    return record


class Weights(nn.Module):
    """Parameters that are what a dictionary says."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(tensor, requires_grad=False))


def of(**functions):
    """A loader whose parameters are functions of the state dictionary."""
    return lambda state: Weights({name: function(state) for name, function in functions.items()})


def filled(*shape, dtype=torch.float32):
    """A loader's own idea of a weight before it is loaded."""
    return torch.empty(shape, dtype=dtype)


def copied(target, *parts):
    """Copies (slice of the target, tensor) into a tensor."""
    for where, tensor in parts:
        target[where] = tensor
    return target


def state_of(*shapes, dtype=torch.float32):
    torch.manual_seed(SEED)
    return {"abcdefgh"[i]: torch.randn(shape).to(dtype) for i, shape in enumerate(shapes)}


def test_views_and_slices():
    state = state_of((12, 6), (4, 3, 2, 2), (24,))
    record = check(
        state,
        of(
            whole=lambda s: s["a"],
            rows=lambda s: s["a"][3:7],
            row=lambda s: s["a"][5],
            narrow=lambda s: s["a"].narrow(0, 2, 5),
            chunk=lambda s: s["a"].chunk(3, dim=0)[1],
            split=lambda s: s["a"].split([2, 4, 6])[2],
            select=lambda s: s["b"][2, 1],
            flat=lambda s: s["b"].reshape(4, -1),
            flatten=lambda s: s["b"].flatten(),
            unflat=lambda s: s["c"].view(2, 3, 4),
            spread=lambda s: s["a"][:, :, None, None],
            squeezed=lambda s: s["a"].unsqueeze(0).squeeze(),
            there_and_back=lambda s: s["a"].t().t(),
            columns=lambda s: s["a"][:, 2:4],
            halves=lambda s: s["a"].chunk(2, dim=1)[1],
            column=lambda s: s["c"].unsqueeze(1).t(),
            unbound=lambda s: s["a"].unbind()[7],
            detached=lambda s: s["a"].detach().requires_grad_(),
            data=lambda s: s["a"].data,
        ),
    )
    assert record["rows"] == (Piece("a", 18, 24),) and record["row"] == (Piece("a", 30, 6),)
    assert record["columns"] == tuple(Piece("a", 6 * i + 2, 2) for i in range(12))
    assert not record.unused


def test_copies_and_casts():
    state = state_of((6, 4), (6, 4), (2, 4))
    check(
        state,
        of(
            clone=lambda s: s["a"].clone(),
            contiguous=lambda s: s["a"][:, 1:3].contiguous(),
            halved=lambda s: s["a"].half(),
            there_and_back=lambda s: s["a"].to(torch.bfloat16).float(),
            twice=lambda s: s["a"].half().to(torch.bfloat16),
            widened=lambda s: s["a"].double(),
            copied=lambda s: filled(6, 4).copy_(s["a"]),
            rounded=lambda s: filled(6, 4, dtype=torch.float16).copy_(s["a"]),
            from_double=lambda s: filled(6, 4, dtype=torch.float64).copy_(s["b"]).float(),
            parts=lambda s: copied(filled(8, 4), (slice(0, 6), s["b"]), (slice(6, 8), s["c"])),
            over=lambda s: copied(filled(6, 4), (slice(0, 6), s["b"]), (slice(2, 4), s["c"])),
            like=lambda s: torch.empty_like(s["a"], dtype=torch.float16).copy_(s["a"]),
            new=lambda s: s["a"].new_empty(2, 4).copy_(s["c"]),
            on_the_host=lambda s: s["a"].to("cpu", torch.float16),
            with_list=lambda s: copied(filled(2, 2, 4), (0, s["c"]), (1, s["a"][1:3])),
        ),
    )
    halves = {name: tensor.half() for name, tensor in state.items()}
    record = check(halves, of(a=lambda s: s["a"].float(), b=lambda s: s["b"].float().half()))
    assert not record.via, "what loses nothing is no cast that matters"


def test_concatenations():
    state = state_of((4, 6), (2, 6), (4, 3), (4, 6))
    record = check(
        state,
        of(
            rows=lambda s: torch.cat([s["a"], s["b"]]),
            qkv=lambda s: torch.cat((s["a"], s["b"], s["d"]), dim=0),
            columns=lambda s: torch.cat([s["a"], s["c"]], dim=1),
            last=lambda s: torch.cat([s["c"], s["a"]], -1),
            stacked=lambda s: torch.stack([s["a"], s["d"]]),
            stacked_behind=lambda s: torch.stack([s["a"][0], s["d"][1]], dim=1),
            swapped=lambda s: torch.cat(tuple(reversed(s["a"].chunk(2, dim=0))), dim=0),
            mixed=lambda s: torch.cat([s["a"], s["b"].half().float()[:0], s["d"]]),
            promoted=lambda s: torch.cat([s["a"].half(), s["d"].half()]),
            back=lambda s: torch.cat([s["a"], s["b"]])[3:5],
            vertical=lambda s: torch.vstack([s["a"], s["b"]]),
            horizontal=lambda s: torch.hstack([s["a"], s["c"]]),
        ),
    )
    assert record["qkv"] == (Piece("a", 0, 24), Piece("b", 0, 12), Piece("d", 0, 24))
    assert record["swapped"] == (Piece("a", 12, 12), Piece("a", 0, 12))


def test_what_cannot_be_followed_is_an_error_that_names_the_weight():
    state = state_of((64, 65), (64, 65), (4, 4))
    build = of(
        whole=lambda s: s["c"],
        transposed=lambda s: s["a"].t(),
        transposed_copy=lambda s: s["a"].t().contiguous(),
        added=lambda s: s["a"] + s["b"],
        scaled=lambda s: s["c"].clone().mul_(0.5),
        rounded_in_part=lambda s: copied(filled(8, 4), (slice(0, 4), s["c"]), (slice(4, 8), s["c"].half())),
        mean=lambda s: s["c"].mean(dim=0),
        permuted=lambda s: s["c"].index_select(0, torch.tensor([3, 2, 1, 0])),
        half_of_it=lambda s: copied(torch.zeros(6, 4), (slice(0, 4), s["c"])),
        of_a_part=lambda s: copied(torch.empty(4, 4), (slice(0, 4), s["c"])).__imul__(2)[1:],
        seen_otherwise=lambda s: s["c"].view(torch.int16),
    )
    lost = {"transposed", "transposed_copy", "added", "scaled", "rounded_in_part", "mean", "permuted"}
    lost |= {"half_of_it", "of_a_part", "seen_otherwise"}
    record = check(state, build, lost=lost)
    assert "a, b" in record.lost["added"] and "add" in record.lost["added"]
    assert "transposed" in record.lost["transposed"] and "mul" in record.lost["scaled"]
    with tap.raises(distorch2.FailedError, "transposed", "more", "program's own way"):
        trace(state, build)
    with tap.raises(distorch2.FailedError, "added", "a, b"):
        trace(state, of(added=lambda s: s["a"].add(s["b"])))
    with tap.raises(distorch2.FailedError, "values of", "a", "one element"):
        trace(state, of(a=lambda s: s["a"] if s["a"].max().item() > 0 else s["b"]))
    check(state, of(forgotten=lambda s: (s["a"] * 2, s["c"])[1]))  # what is thrown away is no error


def test_what_is_computed_is_real():
    state = {**state_of((3, 4)), "scale": torch.tensor(2.5), "kind": torch.tensor([3])}

    def steps(number):
        made = torch.empty(number)
        made[0] = 1.0
        made[1:].fill_(0.5)
        return made.cumsum(0)

    seen = []

    def build(s):
        seen.append((s["scale"].item(), int(s["kind"]), s["scale"].half().item()))
        return of(
            arange=lambda s: torch.arange(int(s["kind"].item()), dtype=torch.float32),
            linspace=lambda s: torch.linspace(0, 1, 5),
            steps=lambda s: steps(6),
            zeros=lambda s: torch.zeros_like(s["a"]),
            ones=lambda s: filled(3, 4).fill_(1),
            product=lambda s: torch.ones(2) * s["scale"],
            scale=lambda s: s["scale"],
            kind=lambda s: filled(1).copy_(s["kind"]),
            drawn=lambda s: torch.randn(3, generator=torch.Generator().manual_seed(5)),
            real=lambda s: torch.full((2, 2), 7.0),
        )(s)

    record = check(state, build)
    assert seen[0] == seen[1] == (2.5, 3, 2.5)
    assert set(record) == {"scale", "kind"} and record["kind"] == (Piece("kind", 0, 1),)
    assert record.unused == ("a",)


class Block(nn.Module):
    """What networks are made of, as their own initialisation leaves it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.batch = nn.BatchNorm1d(8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.embed = nn.Embedding(5, 8)
        self.head = nn.Linear(8, 5, bias=False)
        self.head.weight = self.embed.weight
        self.position = nn.Parameter(torch.randn(1, 4, 8))
        self.register_buffer("steps", torch.arange(4.0), persistent=False)


def test_state_dictionaries_of_modules():
    torch.manual_seed(SEED)
    state = Block().state_dict()
    for assign in (False, True):

        def build(s, assign=assign):
            module = Block()
            module.load_state_dict(s, assign=assign)
            return module.half() if not assign else module

        record = check(state, build)
        assert set(record) == set(state) and list(record.own) == ["steps"], record
        assert record["conv.weight"] == (Piece("conv.weight", 0, 216),)
    without = {name: tensor for name, tensor in state.items() if not name.startswith("conv")}
    record = check(without, loosely(Block), missing=["conv.weight", "conv.bias"])
    assert "uniform_" in record.missing["conv.weight"]
    with torch.inference_mode():
        assert set(check(state, loosely(Block))) == set(state)


def loosely(kind):
    def build(state):
        module = kind()
        module.load_state_dict(state, strict=False)
        return module

    return build


def test_nothing_is_allocated():
    """Of 32 GiB, neither by the module nor by its copies."""
    names = [f"layers.{i}.weight" for i in range(4)]
    state = {name: torch.empty(32768, 65536, dtype=torch.float32, device="meta") for name in names}

    def build(s):
        module = nn.Module()
        module.layers = nn.ModuleList(nn.Linear(65536, 32768, bias=False, device="cpu") for _ in range(4))
        module.load_state_dict({name: tensor.to(torch.float16).clone() for name, tensor in s.items()})
        return module.to("cpu")

    module, record = trace(state, build)
    assert set(record) == set(names) and all(each.is_meta for each in module.parameters())


def test_a_mode_is_of_one_thread_and_ends():
    import threading

    with Ledger({}) as ledger:
        made = []
        thread = threading.Thread(target=lambda: made.append(torch.empty(2)))
        thread.start()
        thread.join()
        assert torch.empty(2).is_meta and not made[0].is_meta
    assert not torch.empty(2).is_meta and ledger.tensors == {}


def random_tensor(random_, tensors):
    """One more tensor, made of those that there are as converters do it."""
    x = random_.choice(tensors)
    kind = random_.randrange(12)
    if kind == 0 and x.dim():
        first = random_.randrange(x.shape[0])
        return x[first : random_.randrange(first, x.shape[0]) + 1]
    if kind == 1 and x.dim() > 1:
        return x.transpose(0, random_.randrange(x.dim()))
    if kind == 2 and x.dim():
        dim = random_.randrange(x.dim())
        return random_.choice(x.chunk(random_.choice((1, 2, 3)), dim=dim))
    if kind in (3, 4) and x.dim():
        dim = random_.randrange(x.dim())
        rest = [size for i, size in enumerate(x.shape) if i != dim]
        fitting = [
            y for y in tensors if y.dim() == x.dim() and [size for i, size in enumerate(y.shape) if i != dim] == rest
        ]
        return torch.cat([x, random_.choice(fitting), *random_.sample(fitting, min(1, len(fitting)))], dim=dim)
    if kind == 5:
        return x.reshape(-1)
    if kind == 6:
        return x.to(random_.choice((torch.float16, torch.bfloat16, torch.float32)))
    if kind == 7:
        return x.clone()
    if kind == 8 and x.dim():
        target = torch.empty(x.shape, dtype=random_.choice((torch.float16, torch.float32)))
        first = random_.randrange(x.shape[0])
        target.copy_(x)
        target[first:] = random_.choice([y for y in tensors if y.shape == x.shape])[first:]
        return target
    if kind == 9:
        return x.unsqueeze(random_.randrange(x.dim() + 1))
    if kind == 10:
        return x.contiguous()
    if kind == 11 and random_.random() < 0.3:
        return x * 2 if random_.random() < 0.5 else x.clone().mul_(0.5)
    return x


def test_random_loaders():
    """Whatever the record says is so; and most of it can be said."""
    said = lost = 0
    for turn in range(300):
        state = {
            "abcd"[i]: tensor.to(random.Random(SEED + turn).choice((torch.float32, torch.float16)))
            for i, tensor in enumerate((torch.randn(6, 4), torch.randn(6, 4), torch.randn(12), torch.randn(3, 4, 2)))
        }

        def build(s, turn=turn):
            random_ = random.Random(SEED + turn)
            tensors = list(s.values())
            for _ in range(12):
                tensors.append(random_tensor(random_, tensors))
            return Weights({f"w{i}": tensor for i, tensor in enumerate(tensors)})

        try:
            real = build({name: tensor.clone() for name, tensor in state.items()})
            _, record = trace(state, build, strict=False)
        except Exception as problem:
            raise AssertionError(f"TEST_SEED={SEED}, turn {turn}") from problem
        for name, tensor in weights_of(real).items():
            assert name in record or name in record.lost, f"TEST_SEED={SEED}, turn {turn}: nothing is said of {name}"
            if name in record:
                said += 1
                equal = torch.equal(bits(put_together(record, name, state)), bits(tensor))
                assert equal, f"TEST_SEED={SEED}, turn {turn}: {name}"
        lost += len(record.lost)
    tap.diag(f"TEST_SEED={SEED}: {said} weights of random loaders are as the record says; of {lost} it says nothing")
    assert said > 2 * lost
    tap.count(said, "weights of random loaders that are as their record says")


# -- files, and diffusers' loaders ----------------------------------------------------------------------------


def layout(name):
    """The state dictionary of a layout, without bytes."""
    state = {}
    with open(f"{tap.SOURCE}/tests/data/layouts/{name}.tsv", encoding="utf-8") as lines:
        for line in lines:
            tensor, dtype, shape = line.rstrip("\n").split("\t")
            sizes = [int(size) for size in shape.split(",") if size]
            state[tensor] = torch.empty(sizes, dtype=DTYPES[dtype], device="meta")
    return state


def of_class(kind, convert=lambda state: state, **options):
    """A loader of diffusers': a class, and what becomes of the state dictionary first."""

    def build(state, assign=False):
        module = kind(**options)
        dtype = next(iter(state.values())).dtype
        nn.Module.to(module, dtype).load_state_dict(convert(dict(state)), strict=True, assign=assign)
        return module

    return build


def cldm(options):
    """diffusers' own conversion of what ComfyUI's names are."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    def convert(state):
        text = {name: state.pop(name) for name in list(state) if name.startswith("label_emb.")}  # which it leaves out
        numbers = {"0": "linear_1", "2": "linear_2"}
        added = {f"add_embedding.{numbers[name.split('.')[2]]}.{name.split('.')[3]}": text[name] for name in text}
        return {**convert_controlnet_checkpoint(state, {"layers_per_block": 2, **options}), **added}

    return convert


SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def loaders():
    import diffusers

    yield "diffusers_sd15_canny", of_class(diffusers.ControlNetModel, cross_attention_dim=768)
    yield "diffusers_sdxl_canny_fp16", of_class(diffusers.ControlNetModel, **SDXL)
    sd15 = {"cross_attention_dim": 768}
    yield "control_v11p_sd15_canny_fp16", of_class(diffusers.ControlNetModel, cldm(sd15), **sd15)
    yield "sdxl_controlnet_cldm_fp16", of_class(diffusers.ControlNetModel, cldm(SDXL), **SDXL)
    yield (
        "diffusers_flux_instantx_canny",
        of_class(diffusers.FluxControlNetModel, num_layers=5, num_single_layers=0, guidance_embeds=True),
    )
    yield (
        "diffusers_sd3_instantx_canny",
        of_class(
            diffusers.SD3ControlNetModel,
            num_layers=6,
            num_attention_heads=24,
            caption_projection_dim=1536,
            pos_embed_max_size=192,
            sample_size=128,
        ),
    )
    yield "diffusers_qwen_instantx_union", of_class(diffusers.QwenImageControlNetModel, num_layers=5)
    yield (
        "xlabs_flux_canny_v3",
        of_class(
            diffusers.FluxControlNetModel,
            xlabs,
            num_layers=2,
            num_single_layers=0,
            guidance_embeds=True,
            conditioning_embedding_channels=16,
        ),
    )
    yield (
        "hunyuandit_canny",
        of_class(
            diffusers.HunyuanDiT2DControlNetModel,
            hunyuan,
            sample_size=128,
            patch_size=2,
            in_channels=4,
            hidden_size=1408,
            mlp_ratio=4.3637,
            transformer_num_layers=40,
            use_style_cond_and_image_meta_size=False,
        ),
    )
    yield "t2iadapter_canny_sd15v2", of_class(diffusers.T2IAdapter, adapter, in_channels=1)


def renamed(rules, parts):
    """A conversion: what is found in names becomes what stands for it, rule after rule; tensors that are ``parts`` in one are
    chunks of it."""

    def convert(state):
        converted = {}
        for name, tensor in state.items():
            for found, put in rules:
                name = re.sub(found, put, name)
            joined, _, last = name.rpartition(".")
            kind = next((each for each in parts if joined.endswith(each)), None)
            if kind is None:
                converted[name] = tensor
                continue
            for piece, chunk in zip(parts[kind], tensor.chunk(len(parts[kind]), 0)):
                converted[f"{joined[: -len(kind)]}{piece}.{last}"] = chunk
        return converted

    return convert


hunyuan = renamed(
    [
        (r"^(mlp_t5|extra_embedder|t_embedder)(\.mlp)?\.0\.", r"\1.linear_1."),
        (r"^(mlp_t5|extra_embedder|t_embedder)(\.mlp)?\.2\.", r"\1.linear_2."),
        (r"^mlp_t5", "text_embedder"),
        (r"^(extra_embedder|pooler)", r"time_extra_emb.\1"),
        (r"^t_embedder", "time_extra_emb.timestep_embedder"),
        (r"^x_embedder", "pos_embed"),
        (r"^before_proj", "input_block"),
        (r"^after_proj_list", "controlnet_blocks"),
        (r"\.norm1\.", ".norm1.norm."),
        (r"\.default_modulation\.1\.", ".norm1.linear."),
        (r"\.norm2\.", ".norm-of-mlp."),  # diffusers counts them the other way round
        (r"\.norm3\.", ".norm2."),
        (r"\.norm-of-mlp\.", ".norm3."),
        (r"\.(q|k)_norm\.", r".norm_\1."),
        (r"\.out_proj\.", ".to_out.0."),
        (r"\.mlp\.fc1\.", ".ff.net.0.proj."),
        (r"\.mlp\.fc2\.", ".ff.net.2."),
        (r"(attn2)\.q_proj\.", r"\1.to_q."),
    ],
    {"attn1.Wqkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"), "attn2.kv_proj": ("attn2.to_k", "attn2.to_v")},
)

xlabs = renamed(
    [
        (r"^(time|guidance|vector)_in\.in_layer", r"time_text_embed.\1.linear_1"),
        (r"^(time|guidance|vector)_in\.out_layer", r"time_text_embed.\1.linear_2"),
        (r"embed\.time\.", "embed.timestep_embedder."),
        (r"embed\.guidance\.", "embed.guidance_embedder."),
        (r"embed\.vector\.", "embed.text_embedder."),
        (r"^img_in", "x_embedder"),
        (r"^txt_in", "context_embedder"),
        (r"^pos_embed_input", "controlnet_x_embedder"),
        (r"^double_blocks", "transformer_blocks"),
        (r"\.img_mod\.lin\.", ".norm1.linear."),
        (r"\.txt_mod\.lin\.", ".norm1_context.linear."),
        (r"\.img_attn\.norm\.(query|key)_norm\.scale", lambda match: f".attn.norm_{match[1][0]}.weight"),
        (r"\.txt_attn\.norm\.(query|key)_norm\.scale", lambda match: f".attn.norm_added_{match[1][0]}.weight"),
        (r"\.img_attn\.proj\.", ".attn.to_out.0."),
        (r"\.txt_attn\.proj\.", ".attn.to_add_out."),
        (r"\.img_mlp\.0\.", ".ff.net.0.proj."),
        (r"\.img_mlp\.2\.", ".ff.net.2."),
        (r"\.txt_mlp\.0\.", ".ff_context.net.0.proj."),
        (r"\.txt_mlp\.2\.", ".ff_context.net.2."),
        (r"^input_hint_block\.0\.", "input_hint_block.conv_in."),
        (r"^input_hint_block\.14\.", "input_hint_block.conv_out."),
        (r"^input_hint_block\.(\d+)\.", lambda match: f"input_hint_block.blocks.{int(match[1]) // 2 - 1}."),
    ],
    {
        "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
        "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    },
)


def adapter(state):
    """The names of the T2I-Adapters' own program, in diffusers' terms: its blocks are numbered through."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            number = int(parts[1])
            what = ["in_conv"] if parts[2] == "in_conv" else ["resnets", str(number % 2), parts[2]]
            parts = ["body", str(number // 2), *what, parts[-1]]
        renamed[".".join(["adapter", *parts])] = tensor
    return renamed


ROWS = 1 << 20


def numbers(place, shape):
    """A tensor of that shape, without its bytes: each row is of one number, which no other tensor's row has."""
    if not shape:
        return torch.tensor(float(place * ROWS), dtype=torch.float64)
    rows = torch.arange(shape[0], dtype=torch.float64) + place * ROWS
    return rows.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)


def test_the_loaders_of_diffusers():
    """Every tensor of every layout that diffusers has a class for."""
    for name, build in loaders():
        state = layout(name)
        module, record = trace(state, build)
        assert not record.unused, f"{name}: {record.unused[:3]} are unused"
        assert not record.missing and set(record.own) <= {"pos_embed.pos_embed"}, f"{name}: {record!r}"
        assert sum(each.count for pieces in record.values() for each in pieces) == sum(
            tensor.numel() for tensor in state.values()
        ), name
        # The same with tensors of numbers that say where they are in the file: their own, and the row's.
        numbered = {key: numbers(i, tensor.shape) for i, (key, tensor) in enumerate(state.items())}
        places = {key: i for i, key in enumerate(state)}
        with torch.device("meta"):
            real = build(numbered, assign=True)
        for key in record:
            (piece,) = record[key]
            tensor = weights_of(real)[key]
            row = piece.first // max(1, state[piece.tensor][:1].numel()) if state[piece.tensor].dim() else 0
            first = float(tensor[(0,) * tensor.dim()])
            assert first == places[piece.tensor] * ROWS + row, f"{name}: {key} is not {piece}"
        tap.diag(f"{name}: {len(record)} weights of {len(state)} tensors, {len(record.own)} computed")
        tap.count(len(record), "weights of diffusers' networks that were traced")


def test_files():
    """The ledger of a file has its tensors, and reads those of one element."""
    from safetensors.torch import save_file

    path = tap.scratch("file.safetensors")
    save_file({"a": torch.randn(4, 3).half(), "one": torch.tensor([4.0]), "none": torch.empty(0, 3)}, path)
    with distorch2.File(path) as file:
        for source in (file, path):
            ledger = Ledger(source)
            shapes = {name: (tuple(each.shape), each.dtype, each.is_meta) for name, each in ledger.tensors.items()}
            assert shapes == {
                "a": ((4, 3), torch.float16, True),
                "one": ((1,), torch.float32, False),
                "none": ((0, 3), torch.float32, True),
            }, shapes
            assert ledger.tensors["one"].item() == 4.0
    with tap.raises(distorch2.DistorchError, "nowhere"):
        Ledger("nowhere.safetensors")


if __name__ == "__main__":
    tap.run_tests()
