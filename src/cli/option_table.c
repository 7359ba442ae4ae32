/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/option_table.h"
#include "cli/text.h"
#include <string.h>

#define ALL (CLI_DEVICES | CLI_MODELS | CLI_INSPECT | CLI_PLAN | CLI_LOAD | CLI_VERIFY | CLI_RUN | CLI_BENCH | CLI_SHARED)
#define WITH_PROGRESS (CLI_INSPECT | CLI_LOAD | CLI_VERIFY | CLI_RUN | CLI_BENCH)
#define AT(member) offsetof(struct cli_options, member)

const struct cli_option cli_option_table[] = {
    { "free", 0, NULL, "free bytes also where that takes a GPU context", CLI_KIND_FLAG, CLI_DEVICES, AT(free), 0 },
    { "measure", 0, NULL, "measure copy speeds (takes a second or so)", CLI_KIND_FLAG, CLI_DEVICES, AT(measure), 0 },
    { "long", 0, NULL, "open each file: its format, family and variant", CLI_KIND_FLAG, CLI_MODELS, AT(details), 0 },
    { "all", 0, NULL, "every model of the catalogue, a line each", CLI_KIND_FLAG, CLI_INSPECT, AT(all), 0 },
    { "key", 0, "NAME", NULL, CLI_KIND_TEXT, CLI_INSPECT | CLI_VERIFY | CLI_REQUEST, AT(key), 0 },
    { "all-tensors", 0, NULL, NULL, CLI_KIND_FLAG,
      CLI_INSPECT | CLI_REQUEST, AT(all_tensors), 0 },
    { "tensors", 0, NULL, "list the tensors (also: --key, --all-tensors)", CLI_KIND_FLAG, CLI_INSPECT, AT(tensors), 0 },
    { "sha256", 0, NULL, "tell the SHA-256 of each file, as hubs do", CLI_KIND_FLAG, CLI_INSPECT, AT(sha256),
      0 },
    { "checksums", 0, NULL, "tell the XXH3 of each tensor, for verify", CLI_KIND_FLAG, CLI_INSPECT,
      AT(checksums), 0 },
    { "against", 0, "FILE", "from `inspect --checksums --json`; - is stdin", CLI_KIND_TEXT, CLI_VERIFY,
      AT(against), CLI_OFFER_FILE },
    { "compute-device", 0, "D", "where the model computes [first GPU, else cpu]", CLI_KIND_TEXT, CLI_REQUEST,
      AT(request.compute_device), CLI_OFFER_DEVICE },
    { "virtual-vram-gb", 0, "X", "GiB to keep off that device, 0 to 128 [4]", CLI_KIND_GIB, CLI_REQUEST,
      AT(request.virtual_vram_bytes), 0 },
    { "donor-device", 0, "D[,D...]", "who lends that memory, in order [cpu]", CLI_KIND_TEXT, CLI_REQUEST,
      AT(request.donor_device), CLI_OFFER_DEVICES },
    { "expert-mode-allocations", 0, "S", "exact shares: 'cuda:0,50%;cpu,*' (or: --auto)", CLI_KIND_TEXT, CLI_REQUEST,
      AT(request.expert_mode_allocations), 0 },
    { "place", 0, "PATTERN=D", "blocks or tensors by name to D (repeatable)", CLI_KIND_TEXTS, CLI_REQUEST,
      AT(places), 0 },
    { "dtype", 0, "keep|f16|bf16|f32", "store floats so [keep]", CLI_KIND_CHOICE, CLI_REQUEST, AT(dtype), 0 },
    { "eject-models", 0, "true|false", "unload what is on that device first [true]", CLI_KIND_BOOL, CLI_REQUEST,
      AT(request.eject_models), 0 },
    { "reserve", 0, "D=SIZE", "leave SIZE free on D, such as cpu=2gb (repeatable)", CLI_KIND_LIMITS, CLI_REQUEST,
      AT(reserves), CLI_OFFER_LIMIT },
    { "budget", 0, "D=SIZE", "let a load use SIZE of D, free or not (repeatable)", CLI_KIND_LIMITS, CLI_REQUEST,
      AT(budgets), CLI_OFFER_LIMIT },
    { "fit", 0, NULL, "fit (--share --pack --window --key --all-tensors)", CLI_KIND_FLAG, CLI_REQUEST, AT(fit), 0 },
    { "auto", 0, NULL, NULL, CLI_KIND_FLAG, CLI_REQUEST, AT(choose), 0 },
    { "pack", 0, NULL, NULL, CLI_KIND_FLAG, CLI_REQUEST, AT(request.pack), 0 },
    { "share", 0, "none|node|only", NULL, CLI_KIND_WORD, CLI_REQUEST, AT(share), 0 },
    { "window", 0, "SIZE", NULL, CLI_KIND_SIZE, CLI_REQUEST, AT(request.window_bytes), 0 },
    { "machine", 0, "FILE", "for a saved `devices --json` (also: --step-ms)", CLI_KIND_TEXT, CLI_PLAN, AT(machine),
      CLI_OFFER_FILE },
    { "compare", 0, NULL, "what each choice would cost (also: --picture=FILE)", CLI_KIND_FLAG, CLI_PLAN, AT(compare), 0 },
    { "picture", 0, "FILE", NULL, CLI_KIND_TEXT, CLI_PLAN | CLI_LOAD, AT(picture), CLI_OFFER_FILE },
    { "plan", 0, "FILE", "as a saved `plan --json` has it (also: --picture)", CLI_KIND_TEXT, CLI_LOAD, AT(plan),
      CLI_OFFER_FILE },
    { "verify", 0, NULL, "read every tensor back, compare it (also: --io)", CLI_KIND_FLAG, CLI_LOAD, AT(verify), 0 },
    { "io", 0, "auto|buffered|direct", NULL, CLI_KIND_CHOICE, CLI_LOAD, AT(io), 0 },
    { "device", 0, "D", "whose memory and link [first GPU, else cpu]", CLI_KIND_TEXT, CLI_BENCH, AT(device),
      CLI_OFFER_DEVICE },
    { "passes", 0, "N", "times through the model [3] (also: --step-ms)", CLI_KIND_COUNT, CLI_RUN, AT(passes), 0 },
    { "step-ms", 0, "T", NULL, CLI_KIND_MS, CLI_REQUEST, AT(request.step_ns), 0 },
    { "progress", 0, "auto|bar|lines|json|none", "how far it is", CLI_KIND_CHOICE, WITH_PROGRESS,
      AT(progress), 0 },
    { "comfyui", 0, "DIR", "ComfyUI's folder [$COMFYUI_PATH, ., ~/ComfyUI]", CLI_KIND_TEXT, ALL, AT(comfyui),
      CLI_OFFER_FOLDER },
    { "extra-model-paths", 0, "FILE", "one more extra_model_paths.yaml (repeatable)", CLI_KIND_TEXTS, ALL,
      AT(extra_model_paths), CLI_OFFER_FILE },
    { "category", 0, "C", "ComfyUI's category of models [controlnet]", CLI_KIND_TEXT, ALL, AT(category), 0 },
    { "json", 0, NULL, "print one JSON document", CLI_KIND_FLAG, ALL, AT(json), 0 },
    { "log-level", 0, "error|warning|info|debug", NULL, CLI_KIND_CHOICE, ALL, AT(log_level), 0 },
    { "verbose", 0, NULL, "say all of it; less: --quiet, --log-level=WORD", CLI_KIND_FLAG, ALL, AT(verbose), 0 },
    { "quiet", 'q', NULL, NULL, CLI_KIND_FLAG, ALL, AT(quiet), 0 },
    { "help", 'h', NULL, "show this help; --version: the version", CLI_KIND_FLAG, ALL, AT(help), 0 },
    { "version", 'V', NULL, NULL, CLI_KIND_FLAG, ALL, AT(version), 0 },
};
const size_t cli_option_count = sizeof cli_option_table / sizeof *cli_option_table;
_Static_assert(sizeof cli_option_table / sizeof *cli_option_table <= CLI_OPTIONS_MAX, "room for all options");

bool cli_option_is_request(const struct cli_option *option)
{
    return (option->commands & CLI_REQUEST) == CLI_REQUEST && !(option->commands & CLI_DEVICES);
}

char *cli_option_variable(const struct cli_option *option)
{
    char *name = cli_format("DISTORCH2_%s", option->name);
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return name;
}

bool cli_option_needs_value(const struct cli_option *option)
{
    return option->value && option->kind != CLI_KIND_BOOL && option->kind != CLI_KIND_WORD;
}
