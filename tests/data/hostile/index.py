#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the folders of hostile/index, and index.tsv: for each model words of the reason for which it is refused.

Each folder is a case; what is opened in it is its index, or, where there is none, the folder itself.
"""
import json
import os
import shutil
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "index")
INDEX = "model.safetensors.index.json"  # tar keeps paths of up to 99 bytes


def shard(*names):
    """A file of safetensors with a byte for each name."""
    header = json.dumps({name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
                         for i, name in enumerate(names)}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(len(names)))


def index(weight_map, **more):
    return json.dumps({"metadata": {"total_size": 2}, "weight_map": weight_map, **more})


GOOD = {"a": "1.safetensors", "b": "2.safetensors"}
SHARDS = {"1.safetensors": shard("a"), "2.safetensors": shard("b")}


def indexed(text, **changes):
    """The good model with another index; a change of None leaves a file out."""
    files = {INDEX: text, **SHARDS}
    for name, content in changes.items():
        files[f"{name[1:]}.safetensors"] = content
    return {name: content for name, content in files.items() if content is not None}


def mapped(**weight_map):
    return indexed(index({**GOOD, **weight_map}))


CASES = {
    # the text
    "no_map": (indexed(json.dumps({"metadata": {"total_size": 2}})), "no weight_map"),
    "empty_map": (indexed(index({})), "names no tensor"),
    "map_is_list": (indexed(index(["a"])), "an object is expected"),
    "map_of_numbers": (indexed(index({"a": 1})), "a string is expected"),
    "map_twice": (indexed('{"weight_map": {"a": "1.safetensors"}, "weight_map": {"a": "2.safetensors"}}'), "twice"),
    "cut": (indexed(index(GOOD)[:-3]), "ends too early"),
    "trailing": (indexed(index(GOOD) + "x"), "nothing may follow"),
    "no_utf8": (indexed(index(GOOD).encode()[:-2] + b'\xff"}'), "UTF-8"),
    "deep": (indexed('{"metadata": ' + "[" * 5000 + "]" * 5000 + ', "weight_map": {"a": "1.safetensors"}}'), "nested"),
    "name_twice": (indexed('{"weight_map": {"a": "1.safetensors", "a": "1.safetensors"}}'), "DuplicateName"),
    "name_twice_other_file": (
        indexed('{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}'), "weight_map has it in"),
    "name_nul": (mapped(**{"a\0b": "1.safetensors"}), "NUL"),
    # names of files
    "file_parent": (mapped(a="../1.safetensors"), "'../1.safetensors' is no file of the index's own directory"),
    "file_absolute": (mapped(a="/etc/passwd"), "'/etc/passwd' is no file"),
    "file_below": (mapped(a="sub/1.safetensors"), "is no file of the index's own directory"),
    "file_dot": (mapped(a="./1.safetensors"), "is no file of the index's own directory"),
    "file_dots": (mapped(a=".."), "'..' is no file"),
    "file_itself": (mapped(a="."), "'.' is no file"),
    "file_empty": (mapped(a=""), "'' is no file"),
    "file_nul": (mapped(a="1.safetensors\0x"), "is no file"),
    "file_is_index": (mapped(a=INDEX), "is no part of a model"),
    "file_missing": (indexed(index(GOOD), _2=None), "'2.safetensors', which the index names, is not there"),
    "files_too_many": (indexed(index({f"t{i}": f"{i}.safetensors" for i in range(600)})), "600 files"),
    # what the files hold
    "shard_empty": (indexed(index(GOOD), _2=b""), "HeaderTooSmall"),
    "shard_cut": (indexed(index(GOOD), _2=shard("b")[:-1]), "MetadataIncompleteBuffer"),
    "shard_is_gguf": (indexed(index(GOOD), _2=b"GGUF" + b"\3" + b"\0" * 40), "2.safetensors: is gguf, and"),
    "tensor_missing": (mapped(c="2.safetensors"), "tensor 'c' is not in '2.safetensors'"),
    "tensor_elsewhere": (mapped(a="2.safetensors", b="1.safetensors"), "weight_map has it in"),
    "tensor_in_both": (indexed(index(GOOD), _2=shard("a", "b")), "DuplicateName: tensor 'a' is in '1.safetensors' and in"),
    # folders without index
    "folder_empty": ({"README": "nothing"}, "no model in the folder"),
    "folder_pickle": ({"diffusion_pytorch_model.bin": b"x"}, "not a model file"),
    "folder_several": (
        {"diffusion_pytorch_model.16.safetensors": shard("a"), "diffusion_pytorch_model.32.safetensors": shard("a")},
        "2 files of weights"),
    "folder_shards": (
        {f"diffusion_pytorch_model-{i}.safetensors": shard(f"t{i}") for i in range(1, 10)}, "and 1 more"),
    "folder_bad_file": ({"diffusion_pytorch_model.safetensors": b"no model at all"}, "not a model file"),
}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    with open(FOLDER + ".tsv", "w", encoding="utf-8") as verdicts:
        for name, (files, reason) in CASES.items():
            folder = os.path.join(FOLDER, name)
            os.makedirs(folder)
            for file, content in files.items():
                with open(os.path.join(folder, file), "wb") as out:
                    out.write(content if isinstance(content, bytes) else content.encode())
            model = f"{name}/{INDEX}" if INDEX in files else name
            verdicts.write(f"{model}\t{reason}\n")


main()
