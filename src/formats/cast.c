/* SPDX-License-Identifier: BSD-3-Clause */
/* Casts in memory, by several threads: see distorch2/cast.h. */
#include "base/checked.h"
#include "base/error.h"
#include "base/thread.h"
#include "formats/convert/convert.h"
#include <distorch2/cast.h>
#include <inttypes.h>

#define PART ((uint64_t)4 << 20) /* bytes of output that are worth a thread, and more than the nearer caches hold */
#define THREADS_MOST 64

struct part {
    const struct dt2_conversion *how;
    const char *from;
    char *to;
    size_t count;
    bool past;
};

static void *cast_part(void *data)
{
    const struct part *part = data;
    (part->past ? dt2_convert_past : dt2_convert)(part->how, part->from, part->to, part->count);
    return NULL;
}

/* What no thread could be started for, this one does. */
static void cast_parts(struct part *parts, size_t count)
{
    pthread_t threads[THREADS_MOST];
    bool started[THREADS_MOST] = { false };
    for (size_t i = 1; i < count; i++)
        started[i] = dt2_thread_start(&threads[i], cast_part, &parts[i]) == 0;
    for (size_t i = 0; i < count; i++)
        if (!started[i])
            cast_part(&parts[i]);
    for (size_t i = 1; i < count; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}

int dt2_cast(const char *from_dtype, const void *from, const char *to_dtype, void *to, uint64_t count, unsigned threads,
             struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_conversion how;
    uint64_t bytes;
    if (!dt2_conversion_find(from_dtype, to_dtype, &how) || how.block_elements != 1) {
        dt2_fail(err, DT2_EUSAGE, "%s is not cast to %s", from_dtype, to_dtype);
        dt2_suggest(err, "F16, BF16, F32 and F64 to F16, BF16 or F32");
        return DT2_EUSAGE;
    }
    if (dt2_mul_overflows(count, dt2_max(how.block_bytes, how.element_bytes), &bytes) || bytes > SIZE_MAX)
        return dt2_fail(err, DT2_EUSAGE, "%" PRIu64 " elements are more than memory has", count);
    uint64_t written = count * how.element_bytes;
    size_t workers = (size_t)dt2_max(dt2_min(dt2_min(written / PART, threads), THREADS_MOST), 1);
    struct part parts[THREADS_MOST];
    for (size_t i = 0; i < workers; i++) {
        uint64_t begin = count / workers * i, end = i + 1 < workers ? count / workers * (i + 1) : count;
        parts[i] = (struct part){ &how, (const char *)from + begin * how.block_bytes, (char *)to + begin * how.element_bytes,
                                  (size_t)(end - begin), written > PART };
    }
    cast_parts(parts, workers);
    return 0;
}
