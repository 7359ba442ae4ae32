/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a zip archive, and as a PyTorch file. Entries of what is accepted do not overlap. */
#include "formats/pytorch/zip.h"
#include "fuzz/model.h"

static void check_entries(const struct dt2_zip *zip, size_t size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < zip->count; i++) {
        const struct dt2_zip_entry *entry = &zip->entries[i];
        must(entry->header >= end && entry->data > entry->header && entry->data <= size &&
             entry->bytes <= size - entry->data);
        end = entry->data + entry->bytes;
        must(!memchr(entry->name, '\0', entry->name_length));
        must(dt2_zip_find(zip, entry->name, entry->name_length) == entry);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_path(data, size);
    struct dt2_source source;
    struct dt2_zip zip = { 0 };
    struct dt2_error err;
    must(dt2_source_open(&source, path, NULL, &err) == 0);
    if (dt2_zip_read(&zip, &source, &err) == 0)
        check_entries(&zip, size);
    else
        must(strstr(err.text, path));
    dt2_zip_clear(&zip);
    dt2_source_close(&source);
    fuzz_model(NULL, data, size);
    return 0;
}
