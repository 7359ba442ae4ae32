/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text is a snapshot of devices or an error; what is a snapshot is one again through its JSON. */
#include <distorch2/device.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt2_devices *first, *second;
    struct dt2_error err;
    if (dt2_devices_parse((const char *)data, size, &first, &err) < 0)
        return 0;
    if (dt2_devices_default(first) >= dt2_devices_count(first))
        abort();
    size_t index;
    dt2_devices_find(first, "pci:0000:01:00.0", &index, &err);
    char *text = dt2_devices_json(first);
    if (!text || dt2_devices_parse(text, strlen(text), &second, &err) < 0)
        abort();
    char *again = dt2_devices_json(second);
    if (!again || strcmp(text, again) != 0)
        abort();
    dt2_text_free(again);
    dt2_text_free(text);
    dt2_devices_free(second);
    dt2_devices_free(first);
    return 0;
}
