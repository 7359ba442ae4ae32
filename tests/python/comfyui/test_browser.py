# SPDX-License-Identifier: BSD-3-Clause
"""Our nodes in ComfyUI's own page, in a browser: what the widgets offer, what stands under a node when it has run, and
where an error is shown."""

import json
import os

import browser
import checkout as here
import tap

here.start()

import made
from serving import Server

SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
LOADER, PLAN, DEVICES, AFTER = 1, 2, 3, 4
WIDGETS = ["control_net_name", "compute_device", "virtual_vram_gb", "donor_device", "expert_mode_allocations"]


def node(number, kind, position, size, values, outputs=(), inputs=()):
    return {
        "id": number,
        "type": kind,
        "pos": position,
        "size": size,
        "flags": {},
        "order": number,
        "mode": 0,
        "inputs": [{"name": name, "type": of, "link": link} for name, of, link in inputs],
        "outputs": [{"name": name, "type": of, "links": links} for name, of, links in outputs],
        "properties": {"Node name for S&R": kind},
        "widgets_values": values,
    }


def workflow(allocations):
    """A workflow as the page saves it."""
    values = ["small.safetensors", "cpu", 0.0, "cpu", allocations, True]
    nodes = [
        node(LOADER, "DisTorch2ControlNetLoader", [40, 60], [420, 420], values, [("CONTROL_NET", "CONTROL_NET", [1])]),
        node(PLAN, "DisTorch2Plan", [500, 60], [420, 560], values, [("text", "STRING", []), ("picture", "IMAGE", [])]),
        node(DEVICES, "DisTorch2Devices", [40, 540], [420, 200], [], [("list", "STRING", [])]),
        node(AFTER, "DisTorch2TestAfter", [960, 60], [200, 60], [], inputs=[("control", "CONTROL_NET", 1)]),
    ]
    links = [[1, LOADER, 0, AFTER, 0, "CONTROL_NET"]]
    return {"last_node_id": 4, "last_link_id": 1, "nodes": nodes, "links": links, "groups": [], "version": 0.4}


FRAME = """(() => {
    const [one, other, three] = [1, 2, 3].map(id => window.app.graph.getNodeById(id));
    const at = (x, y) => window.app.canvas.ds.convertOffsetToCanvas([x, y]).map(each => Math.round(each));
    const end = Math.max(other.pos[1] + other.size[1], three.pos[1] + three.size[1]) + 20;
    const area = window.app.canvasEl.getBoundingClientRect();
    const [left, top] = at(one.pos[0] - 20, one.pos[1] - 70);
    const [right, bottom] = at(other.pos[0] + other.size[0] + 20, end);
    return [left + area.x, top + area.y, right + area.x, bottom + area.y].map(Math.round).join(' ');
})()"""
"""Where our three nodes are on the page."""

_page = []


def page():
    """The page, with our nodes in it."""
    if not _page:
        models = tap.scratch("server/models/controlnet")
        os.makedirs(models)
        made.small(f"{models}/small.safetensors")
        comfy = Server()
        if "opencl:1" not in str(comfy.get("/object_info/DisTorch2ControlNetLoader")):
            raise tap.Skip("there are no two OpenCL devices")
        settings = {"Comfy.TutorialCompleted": True, "Comfy.Workflow.WorkflowTabsPosition": "Topbar"}
        settings |= {"Comfy.Release.Status": "skipped", "Comfy.Workflow.ShowMissingModelsWarning": False}
        comfy.post("/settings", settings)
        found = browser.Browser()
        found.open(comfy.url)
        found.wait_for("window.app && window.app.graph && window.LiteGraph.registered_node_types.DisTorch2Plan && 1")
        found.value(f"window.app.loadGraphData({json.dumps(workflow(SPREAD))}).then(() => 1)")
        _page.append(found)
    return _page[0]


def of(number):
    return f"window.app.graph.getNodeById({number})"


def widgets(number):
    text = page().value(
        f"JSON.stringify(({of(number)}.widgets || []).map(w => [w.name, w.value, w.options && w.options.values]))"
    )
    return {name: (value, choices) for name, value, choices in json.loads(text)}


def queue():
    page().value("window.app.queuePrompt(0).then(() => 1)")


def test_widgets_offer_the_devices():
    for number in (LOADER, PLAN):
        found = widgets(number)
        assert list(found)[:6] == [*WIDGETS, "eject_models"], found
        assert found["compute_device"][1] == ["cpu"] and found["donor_device"][1][0] == "cpu"
        assert {"opencl:0", "opencl:1"} <= set(found["donor_device"][1])
        assert found["expert_mode_allocations"][0] == SPREAD and "small.safetensors" in found["control_net_name"][1]


def test_what_runs_writes_under_its_node():
    queue()
    for number, words in ((LOADER, "window"), (PLAN, "opencl:1"), (DEVICES, "cpu")):
        page().wait_for(f"({of(number)}.widgets || []).some(w => String(w.value).includes('{words}'))")
    page().wait_for(f"({of(PLAN)}.imgs || []).length || document.querySelector('img[src*=distorch2-plan]')")
    folder = os.environ.get("DISTORCH2_SCREENSHOTS")
    if folder:
        os.makedirs(folder, exist_ok=True)
        page().value("new Promise(done => setTimeout(done, 1500))")
        left, top, right, bottom = (int(each) for each in page().value(FRAME).split())
        page().picture(f"{folder}/comfyui.png", x=left, y=top, width=right - left, height=bottom - top)


def test_templates_open_with_what_this_machine_has():
    folder = f"{tap.SOURCE}/python/comfyui/example_workflows"
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", encoding="utf-8") as file:
            template = json.load(file)
        page().value(f"window.app.loadGraphData({json.dumps(template)}).then(() => 1)")
        for node in template["nodes"]:
            if node["type"] in ("DisTorch2ControlNetLoader", "DisTorch2Plan"):
                found = {name: value for name, (value, _) in widgets(node["id"]).items()}
                assert found["control_net_name"] == "small.safetensors" and found["compute_device"] == "cpu", found
                assert found["virtual_vram_gb"] == 4 and found["donor_device"] == "cpu" and found["eject_models"], found
    page().value(f"window.app.loadGraphData({json.dumps(workflow(SPREAD))}).then(() => 1)")


def test_an_error_is_shown_at_its_widget():
    for number in (PLAN, DEVICES):  # what else can run would, and the page would say less
        page().value(f"window.app.graph.remove({of(number)})")
    wrong = json.dumps("cpu,30%;opencl:77,*")
    page().value(f"{of(LOADER)}.widgets.find(w => w.name == 'expert_mode_allocations').value = {wrong}")
    queue()
    errors = f"(window.app.lastNodeErrors || {{}})[{LOADER}]"
    (error,) = json.loads(page().wait_for(f"{errors} && JSON.stringify({errors})"))["errors"]
    assert error["extra_info"]["input_name"] == "expert_mode_allocations" and "opencl:77" in error["details"], error
    shown = "document.body.innerText"  # older pages show the sentence, newer ones the widget
    page().wait_for(f"{shown}.includes('opencl:77') || {shown}.includes('expert_mode_allocations')")
    slots = f"JSON.stringify(({of(LOADER)}.inputs || []).filter(i => i.hasErrors).map(i => i.name))"
    page().wait_for(f"{slots} == '[\"expert_mode_allocations\"]'")
    folder = os.environ.get("DISTORCH2_SCREENSHOTS")
    if folder:
        page().picture(f"{folder}/comfyui-error.png")


if __name__ == "__main__":
    if browser.program() is None:
        print("1..0 # SKIP there is no Chromium (Debian: chromium)")
    else:
        tap.run_tests()
