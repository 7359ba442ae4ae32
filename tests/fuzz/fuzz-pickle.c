/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as the pickle of a PyTorch file that has storages 0 to 7 of 256 bytes each. */
#include "fuzz/model.h"

#define INPUT_MOST (1 << 20)
#define STORAGES 8
#define ENTRIES (1 + STORAGES)

static unsigned char file[INPUT_MOST + 8192];
static size_t used;

static void put(const void *bytes, size_t size)
{
    memcpy(file + used, bytes, size);
    used += size;
}

/* Put as this machine has it: little-endian. */
static void put_number(uint64_t number, size_t size)
{
    put(&number, size);
}

/* Signature, version and flags aside, what both headers of an entry have. */
static void put_header(const char *name, size_t size)
{
    put_number(0, 8); /* flags, method, time */
    put_number(0, 4);
    put_number(size, 4);
    put_number(size, 4);
    put_number(strlen(name), 2);
    put_number(0, 2);
}

static void put_directory(const char names[ENTRIES][16], const size_t *sizes, const size_t *places)
{
    size_t begin = used;
    for (size_t i = 0; i < ENTRIES; i++) {
        put("PK\1\2\0\0\0\0", 8);
        put_header(names[i], sizes[i]);
        put_number(0, 8);
        put_number(0, 2);
        put_number(places[i], 4);
        put(names[i], strlen(names[i]));
    }
    size_t size = used - begin;
    put("PK\5\6\0\0\0\0", 8);
    put_number(ENTRIES, 2);
    put_number(ENTRIES, 2);
    put_number(size, 4);
    put_number(begin, 4);
    put_number(0, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char storage[256] = { 1, 2, 3, 4, 5 };
    char names[ENTRIES][16] = { "m/data.pkl" };
    size_t sizes[ENTRIES], places[ENTRIES];
    if (size > INPUT_MOST)
        return 0;
    used = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (i > 0)
            snprintf(names[i], sizeof names[i], "m/data/%zu", i - 1);
        sizes[i] = i ? sizeof storage : size;
        places[i] = used;
        put("PK\3\4\0\0", 6);
        put_header(names[i], sizes[i]);
        put(names[i], strlen(names[i]));
        put(i ? storage : data, sizes[i]);
    }
    put_directory((const char(*)[16])names, sizes, places);
    fuzz_model(NULL, file, used);
    return 0;
}
