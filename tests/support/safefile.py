# SPDX-License-Identifier: BSD-3-Clause
"""Writes safetensors files by their rules alone: names, dtypes, shapes, reproducible bytes."""
import json
import random
import struct

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1}

# A network of cldm's kind, as small as can be recognised.
SMALL = [
    ("control_model.time_embed.0.weight", "F16", (64, 32)),
    ("control_model.input_hint_block.0.weight", "F16", (16, 3, 3, 3)),
    ("control_model.input_blocks.0.0.weight", "F16", (32, 4, 3, 3)),
    ("control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", "F16", (4, 768)),
    ("control_model.zero_convs.0.0.weight", "F16", (32, 32, 1, 1)),
    ("control_model.middle_block_out.0.weight", "F16", (32, 32, 1, 1)),
]
# What the first checkpoints have beside it.
BASE = [
    ("model.diffusion_model.input_blocks.0.0.weight", "F16", (64, 4, 3, 3)),
    ("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", "F16", (200, 768)),
    ("first_stage_model.decoder.conv_in.weight", "F16", (64, 4, 3, 3)),
    ("alphas_cumprod", "F32", (1000,)),
]


def size(dtype, shape):
    count = 1
    for dimension in shape:
        count *= dimension
    return count * SIZES[dtype]


def write(path, tensors, metadata=None):
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape in tensors:
        bytes_of = random.Random(name).randbytes(size(dtype, shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(bytes_of)]}
        data += bytes_of
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def write_shards(folder, tensors, parts=2, stem="model", index=None, name="{stem}-{i:05d}-of-{n:05d}.safetensors"):
    """Splits the tensors over so many files, and writes their index."""
    weight_map = {}
    for i in range(parts):
        chosen = tensors[i * len(tensors) // parts:(i + 1) * len(tensors) // parts]
        file = name.format(stem=stem, i=i + 1, n=parts)
        write(f"{folder}/{file}", chosen)
        weight_map.update({each[0]: file for each in chosen})
    with open(f"{folder}/{index or stem + '.safetensors.index.json'}", "w") as out:
        json.dump({"metadata": {}, "weight_map": weight_map}, out)
