/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text as a plan of one small model: it places every block once, or is refused in words. */
#include "plan/plan.h"
#include <distorch2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Three blocks of one tensor each. */
static const char header[] = "{\"a.w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                             "\"b.w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]},"
                             "\"c.w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[8,12]}}";

static struct dt2_file *file;
static struct dt2_blocks *blocks;

static void open_model(void)
{
    char path[] = "/tmp/distorch2-fuzz-XXXXXX.safetensors";
    int fd = mkstemps(path, 12);
    uint64_t length = sizeof header - 1;
    must(fd >= 0 && write(fd, &length, 8) == 8 && write(fd, header, length) == (ssize_t)length && write(fd, "0123456789ab", 12) == 12);
    close(fd);
    must(dt2_file_open(path, &file, NULL) == 0 && dt2_blocks_make_all(file, &blocks, NULL) == 0);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt2_plan *plan = NULL;
    struct dt2_error err;
    if (!file)
        open_model();
    int rc = dt2_plan_parse((const char *)data, size, file, blocks, &plan, &err);
    must((rc == 0) == (plan != NULL));
    must(rc == 0 || err.text[0]);
    uint64_t sum = 0;
    for (size_t i = 0; plan && i < dt2_plan_share_count(plan); i++)
        sum += dt2_plan_share(plan, i)->bytes;
    must(!plan || sum == dt2_file_total_bytes(file));
    if (plan)
        dt2_text_free(dt2_plan_json(plan, file));
    dt2_plan_free(plan);
    return 0;
}
