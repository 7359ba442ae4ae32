/* SPDX-License-Identifier: BSD-3-Clause */
/* Random machines, models and requests, for what holds of every plan. */
#ifndef SUPPORT_WORLD_H
#define SUPPORT_WORLD_H

#include "base/checked.h"
#include "support/tap.h"
#include <distorch2.h>

#define DEVICES_MOST 8
#define BLOCKS_MOST 60
#define TEXT 8192

struct world {
    char machine[TEXT];
    struct dt2_devices *devices;
    struct dt2_block blocks[BLOCKS_MOST];
    char names[BLOCKS_MOST][8];
    uint64_t tensors[BLOCKS_MOST][3];
    size_t count;
    uint64_t model;
    bool roomy; /* every budget is far above the model */
    char compute[16], donors[64], expert[512];
    struct dt2_request request;
};

static const char *const gpu_names[] = { "cuda:0", "cuda:1", "hip:0", "opencl:0", "opencl:1" };

static void add_device(struct world *w, char **budgets, const char *name, const char *driver, uint64_t total, unsigned align)
{
    size_t used = strlen(w->machine);
    bool host = strcmp(driver, "host") == 0, node = host && strlen(name) > 3;
    bool shares = node || (strcmp(name, "opencl:1") == 0 && random_below(2)); /* the host's memory */
    char numa[16] = "null";
    if (node)
        snprintf(numa, sizeof numa, "%s", name + 4);
    else if (!host && random_below(2))
        snprintf(numa, sizeof numa, "%d", (int)random_below(3));
    snprintf(w->machine + used, TEXT - used,
             "%s{\"name\":\"%s\",\"aliases\":[],\"driver\":\"%s\",\"kind\":\"%s\",\"vendor\":null,\"model\":null,\"pci\":null,"
             "\"uuid\":null,\"numa_node\":%s,\"total_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64
             ",\"alignment_bytes\":%u,\"budgets\":[\"%s\"%s],\"links\":[]}",
             used > 12 ? "," : "", name, driver, host ? "host" : "gpu", numa, total, total, align, name, shares ? ",\"cpu\"" : "");
    *budgets += sprintf(*budgets, "%s{\"name\":\"%s\",\"total_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64 "}",
                        **budgets == '\0' && (*budgets)[-1] == '[' ? "" : ",", name, total, total);
}

static void make_machine(struct world *w)
{
    char budgets[TEXT] = "[", *end = budgets + 1;
    /* without room: what the reserve leaves is of the model's size */
    uint64_t unit = w->roomy ? 1ull << 50 : (272ull << 20) + w->model / (1 + random_below(6));
    strcpy(w->machine, "{\"devices\":[");
    size_t gpus = random_below(DT2_COUNT(gpu_names) + 1), nodes = random_below(3) ? 0 : 2 + random_below(2);
    add_device(w, &end, "cpu", "host", unit * 4, 64);
    for (size_t i = 0; i < nodes; i++) {
        char name[24];
        snprintf(name, sizeof name, "cpu:%zu", i);
        add_device(w, &end, name, "host", unit * 4 / nodes, 64);
    }
    for (size_t i = 0; i < gpus; i++) {
        char driver[16];
        snprintf(driver, sizeof driver, "%.*s", (int)strcspn(gpu_names[i], ":"), gpu_names[i]);
        add_device(w, &end, gpu_names[i], driver, unit, random_below(2) ? 256 : 1);
    }
    size_t used = strlen(w->machine);
    snprintf(w->machine + used, TEXT - used, "],\"budgets\":%s],\"unusable\":[]}", budgets);
    struct dt2_error err;
    if (dt2_devices_parse(w->machine, strlen(w->machine), &w->devices, &err) < 0) {
        diag("%s\n%s", err.text, w->machine);
        exit(1);
    }
}

static void make_model(struct world *w)
{
    w->count = 1 + random_below(BLOCKS_MOST);
    w->model = 0;
    unsigned spread = 4 + (unsigned)random_below(24); /* sizes of like or of very unlike blocks */
    for (size_t i = 0; i < w->count; i++) {
        struct dt2_block *block = &w->blocks[i];
        snprintf(w->names[i], sizeof w->names[i], "b%zu", i);
        *block = (struct dt2_block){ .name = w->names[i], .tensor_bytes = w->tensors[i], .tensor_count = 1 + random_below(3) };
        for (size_t j = 0; j < block->tensor_count; j++) {
            w->tensors[i][j] = 1 + random_below((uint64_t)1 << random_below(spread));
            block->bytes += w->tensors[i][j];
        }
        w->model += block->bytes;
    }
}

static const char *random_device(const struct world *w, bool nodes)
{
    for (;;) {
        const struct dt2_device *d = dt2_devices_get(w->devices, random_below(dt2_devices_count(w->devices)));
        if (nodes || strncmp(d->name, "cpu:", 4) != 0)
            return d->name;
    }
}

static void add_entry(struct world *w, const char *device, bool *wildcard, unsigned kind)
{
    char entry[96];
    switch (kind) {
    case 0:
        snprintf(entry, sizeof entry, "%s,%" PRIu64 "b", device, random_below(w->model + 1));
        break;
    case 1:
        snprintf(entry, sizeof entry, "%s,%d.%d%%", device, (int)random_below(34), (int)random_below(100));
        break;
    case 2:
        snprintf(entry, sizeof entry, "%s,%" PRIu64 "k", device, random_below(w->model / 1024 + 2));
        break;
    default:
        snprintf(entry, sizeof entry, "%s,%s", device, *wildcard ? "1b" : "*");
        *wildcard = true;
    }
    if (w->expert[0])
        strcat(w->expert, ";");
    strcat(w->expert, entry);
}

static void make_request(struct world *w)
{
    w->request = (struct dt2_request)DT2_REQUEST_INIT;
    snprintf(w->compute, sizeof w->compute, "%s", random_device(w, false));
    snprintf(w->donors, sizeof w->donors, "%s", random_device(w, false));
    if (random_below(2))
        snprintf(w->donors + strlen(w->donors), sizeof w->donors - strlen(w->donors), ",%s", random_device(w, false));
    w->request.compute_device = w->compute;
    w->request.donor_device = w->donors;
    w->request.virtual_vram_bytes = random_below(4) ? random_below(w->model * 2) : 0;
    w->request.pack = random_below(3) == 0;
    w->expert[0] = '\0';
    if (random_below(3) > 0) {
        const char *seen[DEVICES_MOST];
        size_t entries = 1 + random_below(4), used = 0;
        bool wildcard = false;
        unsigned kind = (unsigned)random_below(5); /* 4: mixed kinds */
        for (size_t i = 0; i < entries; i++) {
            const char *device = random_device(w, false);
            bool twice = false;
            for (size_t j = 0; j < used; j++)
                twice |= strcmp(seen[j], device) == 0;
            if (twice)
                continue;
            seen[used++] = device;
            add_entry(w, device, &wildcard, kind == 4 ? (unsigned)random_below(4) : kind);
        }
        w->request.expert_mode_allocations = w->expert;
    }
}

#endif
