/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a check of the conformance suite is given: one device of one driver, open. Checks call entries through CALL,
 * which notes that the entry was called and how it left errno, and say what must come of it by good() or refused().
 */
#ifndef DT2_TESTS_SUBJECT_H
#define DT2_TESTS_SUBJECT_H

#include "machine/modules.h"
#include "support/tap.h"
#include <errno.h>
#include <stdatomic.h>

struct subject {
    const struct dt2_backend *backend;
    void *driver;
    struct dt2_services *services;
    uint32_t index;
    uint32_t device_count; /* of the driver */
    char name[64];         /* "opencl:0" */
    struct dt2_backend_device_info info;
    dt2_handle device;
    dt2_handle queue; /* for whoever needs just one */
    struct dt2_backend_error err; /* of the last call */
};

#define KiB ((uint64_t)1 << 10)
#define MiB ((uint64_t)1 << 20)
#define ERRNO_BEFORE 4242
#define UNTOUCHED 0xD157D157D157D157u /* what an out-parameter holds before a call that must fail */

/* Calls an entry; the driver goes before the arguments and the error after them. */
#define CALL(s, entry, ...)                                                                                            \
    ({                                                                                                                 \
        (s)->err.status = 0;                                                                                           \
        (s)->err.text[0] = '\0';                                                                                       \
        errno = ERRNO_BEFORE;                                                                                          \
        int call_status = (s)->backend->entry((s)->driver, __VA_ARGS__, &(s)->err);                                    \
        note_call(offsetof(struct dt2_backend, entry), #entry);                                                        \
        call_status;                                                                                                   \
    })
#define HAS(s, entry) ((s)->backend->entry != NULL)

/* The call has succeeded, or was refused with `status`, in words. Both give whether it was so. */
#define good(s, call, ...) tap_good((s), (call), __FILE__, __LINE__, __VA_ARGS__)
#define refused(s, expected, call, ...) tap_refused((s), (expected), (call), __FILE__, __LINE__, __VA_ARGS__)
bool tap_good(struct subject *s, int status, const char *file, int line, const char *format, ...) DT2_PRINTF(5, 6);
bool tap_refused(struct subject *s, int expected, int status, const char *file, int line, const char *format, ...)
    DT2_PRINTF(6, 7);
void note_call(size_t entry_offset, const char *entry);
/* The entries that were called, by their place in the table; the last one that left errno changed, else NULL. */
#define ENTRY_MAX (sizeof(struct dt2_backend) / sizeof(void *))
extern atomic_bool called[ENTRY_MAX];
extern _Atomic(const char *) disturbed_errno;

/* Reproducible bytes: byte `i` of a pattern depends on its number and i alone. */
void fill_pattern(void *memory, size_t bytes, uint64_t pattern);
bool is_pattern(const void *memory, size_t bytes, uint64_t pattern);
/* Bytes that are surely not in the pattern's place before a copy: to be released with free(). */
void *blank(size_t bytes);

/* Copies and waits. */
bool put(struct subject *s, dt2_handle buffer, uint64_t offset, const void *source, uint64_t bytes);
bool get(struct subject *s, dt2_handle buffer, uint64_t offset, void *destination, uint64_t bytes);
/* A new buffer; 0 when that failed, which was a check. */
dt2_handle new_buffer(struct subject *s, uint64_t bytes);
void free_buffer(struct subject *s, dt2_handle buffer);

/* -- the checks; each leaves nothing behind */

void check_identity(struct subject *s);
void check_open(struct subject *s); /* the device is not open yet */
void check_busy(struct subject *s);
void check_wrong_handles(struct subject *s);
void check_device_native(struct subject *s);

void check_sizes(struct subject *s);
void check_native(struct subject *s);
void check_adopt(struct subject *s);
void check_map(struct subject *s);
void check_wrap(struct subject *s);
void check_staging(struct subject *s);
void check_registration(struct subject *s);

void check_ranges(struct subject *s);
void check_random_copies(struct subject *s);
void check_order(struct subject *s);
void check_events(struct subject *s);
void check_peers(struct subject *s);
void check_threads(struct subject *s);

#endif
