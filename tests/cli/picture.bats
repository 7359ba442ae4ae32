# SPDX-License-Identifier: BSD-3-Clause
# Pictures of plans and loads.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    with_cairo=yes
    grep -q '^#define HAVE_CAIRO 1' "$top_builddir/config.h" || with_cairo=
}

# A machine of so many GPUs.
write_machine()
{
    "$PYTHON3" - "$1" >machine.json <<'END'
import json, sys
devices = [{"name": "cpu", "total_bytes": 1 << 36, "free_bytes": 1 << 35}]
devices += [{"name": f"cuda:{i}", "total_bytes": 1 << 34, "free_bytes": 1 << 33} for i in range(int(sys.argv[1]))]
json.dump({"devices": devices}, sys.stdout)
END
}

# Parses it, so that it is well-formed; prints all of its text, a line each, then what it says of its size.
svg_text()
{
    "$PYTHON3" - "$1" <<'END'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
space = "{http://www.w3.org/2000/svg}"
assert root.tag == space + "svg"
for element in root.iter():
    if element.tag in (space + "text", space + "title"):
        print(element.text)
print("size", root.get("width"), root.get("height"), "elements", len(list(root.iter())))
END
}

@test "plan --picture FILE.svg: text stays text, and says what the plan does" {
    need_python
    write_machine 2
    run_split plan tiny.safetensors --machine machine.json --virtual-vram-gb 1 --donor-device cuda:1 --picture p.svg
    expect_status 0
    [[ $output == *'cuda:1'* ]]
    svg_text p.svg >text
    grep -qx 'tiny.safetensors' text
    grep -qx 'cuda:0' text
    grep -qx 'computes' text
    grep -q '^A pass streams ' text
    grep -q '^Blocks in execution order' text
    grep -q '^cuda:1  .* blocks$' text
    [ -z "$(find . -name 'p.svg.*')" ]
}

@test "plan --picture: PNG and PDF are such files" {
    [ "$with_cairo" ] || skip 'built without cairo'
    distorch2 plan tiny.safetensors --compute-device cpu --picture p.png
    [ "$(head -c 8 p.png | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ]
    distorch2 plan tiny.safetensors --compute-device cpu --picture p.PDF
    [ "$(head -c 5 p.PDF)" = %PDF- ]
    tail -c 8 p.PDF | grep -q '%%EOF'
}

@test "plan --picture: what cannot be drawn is refused before anything is done" {
    run_split plan none.safetensors --picture p.gif
    expect_status 2
    [[ $errors == *'--picture p.gif: no kind of picture that is known'* && $errors == *'.svg'* ]]
    run_split plan none.safetensors --picture nowhere/p.svg
    expect_status 1
    [[ $errors == *'--picture nowhere/p.svg: No such file or directory'* ]]
    mkdir folder.svg
    run_split plan none.safetensors --picture folder.svg
    expect_status 1
    [[ $errors == *'folder.svg: no ordinary file'* ]]
    run_split plan tiny.safetensors --compare --picture p.svg
    expect_status 2
    [ ! -e p.svg ]
    if [ ! "$with_cairo" ]; then
        run_split plan tiny.safetensors --picture p.png
        expect_status 2
        [[ $errors == *'without cairo'* && $errors == *'p.svg'* ]]
    fi
}

@test "plan --picture: a failure leaves what was there, and nothing beside it" {
    echo before >p.svg
    run_split plan none.safetensors --picture p.svg
    expect_status 4
    [ "$(cat p.svg)" = before ]
    [ "$(echo p.svg*)" = p.svg ]
}

@test "plan --picture: names of anybody's making are escaped and cut" {
    need_python
    "$PYTHON3" - >machine.json <<'END'
import json
evil = "</text><script>&\"'\x1b[31m\u202e\x00\x0b" + "W" * 3000
print(json.dumps({"devices": [{"name": "cpu", "total_bytes": 1 << 40, "model": evil.replace("\x00", "")},
                              {"name": "cuda:0", "total_bytes": 1 << 34, "model": evil.replace("\x00", ""), "pci": "0000:01:00.0"}]}))
END
    cp "$COMFY/models/controlnet/tiny.safetensors" "$(printf 'a<b>&"\001 ]]> \342\200\256x.safetensors')"
    run_split plan "$(printf './a<b>&"\001 ]]> \342\200\256x.safetensors')" --machine machine.json --picture p.svg
    expect_status 0
    svg_text p.svg >text
    grep -qF 'a<b>&"\x01 ]]> \u202ex.safetensors' text
    [ "$(wc -L <text)" -lt 300 ]
    run grep -c '<script' p.svg
    [ "$output" = 0 ]
}

@test "plan --picture: bounded, however many devices there are, and in every locale" {
    need_python
    write_machine 1000
    distorch2 plan tiny.safetensors --machine machine.json --picture p.svg >/dev/null
    svg_text p.svg >text
    grep -q '^and 968 more memories' text
    read -r _ width height _ elements < <(tail -n 1 text)
    [ "$width" = 1000.00 ]
    [ "${height%.*}" -lt 8000 ]
    [ "$elements" -lt 2000 ]
    [ "$(wc -c <p.svg)" -lt 400000 ]
}

@test "load --picture: what was read and copied for each device" {
    need_python
    run_split load tiny.safetensors --compute-device cpu --picture l.svg
    expect_status 0
    svg_text l.svg >text
    grep -q '^loaded .* reads at once by ' text
    grep -q '^reading ' text
    grep -q '^waiting ' text
    grep -q '^copying ' text
    grep -q '^cpu  .* in .* s, ' text
    need_opencl
    distorch2 load tiny.safetensors --compute-device opencl:0 --expert-mode-allocations 'opencl:0,40%;cpu,*' --json --picture l.svg >l.json
    svg_text l.svg >text
    grep -q '^opencl:0  ' text
    "$PYTHON3" -c 'import json; assert json.load(open("l.json"))["loads"]'
}

@test "load --picture: refused before anything is loaded" {
    run_split load tiny.safetensors --compute-device cpu --picture nowhere/l.svg
    expect_status 1
    [ -z "$output" ]
    run_split load tiny.safetensors --compute-device cpu --picture l.bmp
    expect_status 2
    [ -z "$output" ]
    run_split load tiny.safetensors plain.safetensors --compute-device cpu --picture l.svg
    expect_status 2
    [[ $errors == *'takes one MODEL, not 2'* ]]
    [ ! -e l.svg ]
}
