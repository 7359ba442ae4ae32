# SPDX-License-Identifier: BSD-3-Clause
# Checksums: inspect --sha256 and --checksums, and verify.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

need_sha256()
{
    run_split inspect --sha256 tiny.safetensors
    [[ $errors != *'built without libcrypto'* ]] || skip 'the tool was built without libcrypto'
}

@test "inspect --sha256 is what sha256sum tells, for people and in JSON" {
    need_sha256
    sum=$(sha256sum "$COMFY/models/controlnet/tiny.safetensors" | cut -d' ' -f1)
    run_split inspect --sha256 tiny.safetensors
    expect_status 0
    [ -z "$errors" ]
    [[ $output == *"sha256    $sum"* ]]
    run_split inspect --sha256 tiny.safetensors --json
    json "doc['parts'][0]['sha256'] == '$sum' and len(doc['parts']) == 1"
    run_split inspect tiny.safetensors --json
    json "'sha256' not in doc['parts'][0] and 'xxh3' not in doc['tensors'][0]"
    run_split inspect --sha256 tiny.safetensors plain.safetensors --json --progress=json
    json 'all(len(f["parts"][0]["sha256"]) == 64 for f in doc["files"])'
    [[ $errors == *'"phase":"hashing"'* ]]
}

@test "verify: a file that is as it was" {
    run_split inspect tiny.safetensors --checksums --json
    expect_status 0
    json 'all(len(t["xxh3"]) == 16 for t in doc["tensors"])'
    printf '%s' "$output" >sums.json
    run_split verify tiny.safetensors --against sums.json
    expect_status 0
    [[ ${lines[0]} == tiny.safetensors && ${lines[1]} == '  all 18 tensors are as expected' ]]
    run bash -c '"$0" verify tiny.safetensors --against - --json <sums.json' "$DISTORCH2"
    expect_status 0
    json 'doc["matches"] is True and doc["differences"] == [] and doc["tensors"] == 18'
    # the same tensors elsewhere, by another name
    run_split verify sub/tiny2.safetensors --against sums.json
    expect_status 0
    # of several models the one that is meant
    distorch2 inspect plain.safetensors tiny.safetensors --checksums --json >several.json
    run_split verify tiny.safetensors --against several.json
    expect_status 0
    run_split verify sub/tiny2.safetensors --against several.json
    expect_status 1
    [[ $errors == *'none of its models is called sub/tiny2.safetensors'* ]]
}

@test "verify names every tensor that differs: exit 1" {
    need_python
    distorch2 inspect tiny.safetensors --checksums --json >sums.json
    cp "$COMFY/models/controlnet/tiny.safetensors" changed.safetensors
    # a byte of the first tensor, and the last byte of the last one
    "$PYTHON3" - <<'PY'
import struct
with open("changed.safetensors", "r+b") as file:
    begin = 8 + struct.unpack("<Q", file.read(8))[0]
    for place in (begin, file.seek(-1, 2)):
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
PY
    run_split verify ./changed.safetensors --against sums.json --json
    expect_status 1
    json 'doc["matches"] is False and len(doc["differences"]) == 2 and {d["what"] for d in doc["differences"]} == {"xxh3"}'
    json 'all(d["expected"] != d["found"] and len(d["found"]) == 16 for d in doc["differences"])'
    names=$("$PYTHON3" -c 'import json; d = json.load(open("sums.json"))["tensors"]; print(d[0]["name"], d[-1]["name"])')
    run_split verify ./changed.safetensors --against sums.json
    expect_status 1
    for name in $names; do
        [[ $output == *"$name "*xxh3* ]]
    done
    [[ ${lines[-1]} == '  2 of 18 tensors differ' ]]
    # another dtype and shape, tensors that are missing and that nobody expected
    "$PYTHON3" - <<'PY'
import json
document = json.load(open("sums.json"))
document["tensors"][0]["dtype"] = "F64"
document["tensors"][1]["shape"] = [1]
document["tensors"][2]["name"] = "elsewhere"
json.dump(document, open("other.json", "w"))
PY
    run_split verify tiny.safetensors --against other.json --json
    expect_status 1
    json 'sorted(d["what"] for d in doc["differences"]) == ["dtype", "missing", "not expected", "shape"]'
}

@test "verify: what cannot be compared with" {
    run_split verify tiny.safetensors
    expect_status 2
    [[ $errors == *--against=FILE* ]]
    run_split verify tiny.safetensors --against nosuch.json
    expect_status 1
    [[ $errors == *nosuch.json*'inspect --checksums --json'* ]]
    distorch2 inspect tiny.safetensors --json >none.json
    run_split verify tiny.safetensors --against none.json
    expect_status 1
    [[ $errors == *'no checksums of tensors'*'hint: distorch2 inspect tiny.safetensors --checksums --json'* ]]
    echo '[' >bad.json
    run_split verify tiny.safetensors --against bad.json --json
    expect_status 1
    json '"bad.json: line" in doc["error"]["message"]'
    distorch2 inspect tiny.safetensors --checksums --json >sums.json
    run_split verify nosuch.safetensors --against sums.json
    expect_status 4
}
