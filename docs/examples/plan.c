/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans where the layers of a network would go. This takes the second tier of distorch2 alone,
 * <distorch2/plan.h>: the network is a list of blocks that we make up, the machine a JSON document.
 * There is no file and no device, and the same words always give the same plan.
 *
 *     cc plan.c $(pkg-config --cflags --libs distorch2) -o plan
 *     ./plan [ALLOCATIONS]
 */
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define LAYERS 24

/*
 * The machine: two GPUs and the host. This much is enough; `distorch2 devices --json` writes the
 * document of a real machine, with all that is known of it.
 */
static const char machine[] =
    "{\"devices\": ["
    "  {\"name\": \"cpu\", \"total_bytes\": 68719476736, \"free_bytes\": 51539607552},"
    "  {\"name\": \"cuda:0\", \"total_bytes\": 8589934592, \"free_bytes\": 8321499136,"
    "   \"alignment_bytes\": 256},"
    "  {\"name\": \"hip:0\", \"total_bytes\": 4294967296, \"free_bytes\": 4160749568,"
    "   \"alignment_bytes\": 256}"
    "]}";

/*
 * The network: layers of 256 MiB, each of a large tensor and a small one. What a plan moves is the
 * block; it wants to know the tensors because each is aligned by itself on a device.
 */
static const uint64_t tensor_bytes[] = { 255 * MIB, 1 * MIB };

static void make_layers(struct dt2_block blocks[LAYERS], char names[LAYERS][16])
{
    for (size_t i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "layer.%zu", i);
        blocks[i] = (struct dt2_block){
            .name = names[i], .bytes = 256 * MIB, .tensor_bytes = tensor_bytes, .tensor_count = 2
        };
    }
}

static void print_plan(const struct dt2_plan *plan, const struct dt2_block *blocks)
{
    printf("computing on %s\n", dt2_plan_compute_device(plan));
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        char size[16];
        printf("%-8s %8s", share->device, dt2_size_format(share->bytes, size, sizeof size));
        if (share->block_count > 0)
            printf("  %s to %s", blocks[share->blocks[0]].name, blocks[share->blocks[share->block_count - 1]].name);
        printf("%s\n", share->absorbs ? "  (takes what the others leave)" : "");
    }
    if (dt2_plan_window_bytes(plan) > 0)
        printf("and %" PRIu64 " bytes on %s, through which the other layers stream\n", dt2_plan_window_bytes(plan),
               dt2_plan_compute_device(plan));
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        printf("note: %s\n", dt2_plan_warning(plan, i));
}

int main(int argc, char **argv)
{
    char names[LAYERS][16];
    struct dt2_block blocks[LAYERS];
    make_layers(blocks, names);

    /* DT2_REQUEST_INIT sets the defaults, and tells the library how large a struct we know. */
    struct dt2_request request = DT2_REQUEST_INIT;
    request.virtual_vram_bytes = 0; /* the string below says it all */
    request.expert_mode_allocations = argc > 1 ? argv[1] : "cuda:0,40%;hip:0,3gb;cpu,*";

    struct dt2_error err;
    struct dt2_devices *devices = NULL;
    struct dt2_plan *plan = NULL;
    int rc = dt2_devices_parse(machine, strlen(machine), &devices, &err);
    if (rc == 0)
        rc = dt2_plan_make(devices, blocks, LAYERS, &request, &plan, &err);
    if (rc == 0)
        print_plan(plan, blocks);
    else
        fprintf(stderr, "%s%s%s\n", err.text, err.suggestion[0] ? "\nhint: " : "", err.suggestion);
    dt2_plan_free(plan);
    dt2_devices_free(devices);
    return dt2_exit_status(rc);
}
