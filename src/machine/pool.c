/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/pool.h"
#include "base/alloc.h"
#include "base/shown.h"
#include <stdint.h>
#include <string.h>

#define CHUNK_BYTES 4000
#define ALIGNMENT _Alignof(max_align_t)

struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t data[];
};

struct dt2_pool {
    struct chunk *chunks; /* the newest first: the only one with room */
};

struct dt2_pool *dt2_pool_create(void)
{
    return dt2_alloc(1, sizeof(struct dt2_pool));
}

void dt2_pool_destroy(struct dt2_pool *pool)
{
    if (!pool)
        return;
    for (struct chunk *c = pool->chunks, *next; c; c = next) {
        next = c->next;
        dt2_release(c);
    }
    dt2_release(pool);
}

void *dt2_pool_alloc(struct dt2_pool *pool, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct chunk *c = pool->chunks;
    if (!c || c->size - c->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        c = dt2_alloc(1, sizeof *c + room);
        if (!c)
            return NULL;
        *c = (struct chunk){ .next = pool->chunks, .size = room };
        pool->chunks = c;
    }
    void *memory = (char *)c->data + c->used;
    c->used += bytes;
    return memory;
}

#define TEXT_MOST 512

_Bool dt2_pool_text(struct dt2_pool *pool, const char *text, const char **copy)
{
    *copy = NULL;
    if (!text)
        return 1;
    char shown[TEXT_MOST];
    dt2_show(text, shown, sizeof shown);
    size_t size = strlen(shown) + 1;
    char *made = dt2_pool_alloc(pool, size, 1);
    if (made)
        memcpy(made, shown, size);
    *copy = made;
    return made != NULL;
}
