/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text as what is kept of a machine's speeds: what can be read of it is taken over by the devices that are there, which stay sound. */
#include "machine/steps.h"
#include "model/speeds.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The machine as it is now: some of what is kept is of its devices, of others, of links that have changed. */
static struct dt2_devices *here(void)
{
    static const char text[] =
        "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":9,\"links\":[{\"to\":\"cpu\"},{\"to\":\"cuda:0\"}]},"
        "{\"name\":\"cuda:0\",\"total_bytes\":9,\"links\":[{\"to\":\"cpu\",\"pcie_generation\":4,\"pcie_lanes\":16}]}]}";
    struct dt2_devices *devices;
    struct dt2_error err;
    must(dt2_devices_parse(text, sizeof text - 1, &devices, &err) == 0);
    return devices;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt2_devices *kept, *again;
    struct dt2_error err;
    if (size < 1 || dt2_devices_parse((const char *)data + 1, size - 1, &kept, &err) < 0)
        return 0;
    struct dt2_devices *devices = here();
    must(dt2_speeds_recall(kept, data[0] & 1, devices, &err) == 0);
    must(devices->count == 2 && devices->step_count <= DT2_STEPS_MOST);
    const struct dt2_step step = { "cuda:0", "network", 1.5, 0 };
    must(dt2_steps_put(devices, &step, &err) == 0 && dt2_steps_find(devices, "cuda:0", "network")->step_ms > 1);
    dt2_devices_free(kept); /* nothing that was taken over lives there */
    char *text = dt2_devices_json(devices);
    must(text && dt2_devices_parse(text, strlen(text), &again, &err) == 0);
    dt2_devices_free(again);
    dt2_text_free(text);
    dt2_devices_free(devices);
    return 0;
}
