/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/ledger.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "share/place.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS_MAX 1024 /* more is not ours, or nobody's */
#define LOCK_MS 1000

/* As it stands in the file, whose name has the version of this. */
struct dt2_ledger_record {
    int64_t pid;
    uint64_t start; /* of the process, in ticks since the machine's: a number alone may be another's by now */
    uint64_t owner;
    uint64_t load;
    uint64_t bytes;
    char budget[56];
};

/* -- opening ------------------------------------------------------------------------------------------------------- */

void dt2_ledger_open(struct dt2_ledger *ledger, const void *owner)
{
    static _Atomic uint64_t loads;
    uint64_t processes;
    char name[64];
    *ledger = (struct dt2_ledger){ .fd = -1, .load = atomic_fetch_add(&loads, 1), .owner = owner };
    int folder = dt2_place_processes(&processes) ? dt2_place_open(NULL) : -1;
    if (folder < 0)
        return;
    snprintf(name, sizeof name, "promised-1-%" PRIuMAX, (uintmax_t)processes);
    ledger->fd = dt2_place_file(folder, name, true, NULL);
    close(folder);
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

static bool is_sound(const struct dt2_ledger_record *record)
{
    return record->pid > 0 && record->pid <= INT32_MAX && record->start > 0 && memchr(record->budget, '\0', sizeof record->budget);
}

/* Reads those that are alive. What is no ledger holds none, and is written over. */
static bool read_records(struct dt2_ledger *ledger)
{
    struct stat st;
    size_t size = sizeof *ledger->records;
    if (fstat(ledger->fd, &st) < 0)
        return false;
    bool sound = st.st_size % (off_t)size == 0 && st.st_size <= (off_t)(RECORDS_MAX * size);
    size_t count = sound ? (size_t)st.st_size / size : 0;
    ledger->changed = !sound;
    ledger->count = 0;
    ledger->records = dt2_alloc(RECORDS_MAX, size);
    if (!ledger->records || pread(ledger->fd, ledger->records, count * size, 0) != (ssize_t)(count * size))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct dt2_ledger_record *record = &ledger->records[i];
        if (is_sound(record) && !dt2_place_is_dead(record->pid, record->start))
            ledger->records[ledger->count++] = *record;
    }
    ledger->changed |= ledger->count < count;
    return true;
}

/* -- the lock ------------------------------------------------------------------------------------------------------- */

bool dt2_ledger_lock(struct dt2_ledger *ledger)
{
    if (ledger->fd < 0 || !dt2_place_lock(ledger->fd, LOCK_MS))
        return false;
    if (read_records(ledger))
        return true;
    ledger->changed = false;
    dt2_ledger_unlock(ledger);
    return false;
}

void dt2_ledger_unlock(struct dt2_ledger *ledger)
{
    size_t bytes = ledger->count * sizeof *ledger->records;
    if (ledger->changed && pwrite(ledger->fd, ledger->records, bytes, 0) != (ssize_t)bytes)
        bytes = 0; /* no room for it: then nobody has promised anything */
    if (ledger->changed)
        (void)!ftruncate(ledger->fd, (off_t)bytes);
    flock(ledger->fd, LOCK_UN);
    dt2_release(ledger->records);
    ledger->records = NULL;
    ledger->count = 0;
    ledger->changed = false;
}

/* -- promises ------------------------------------------------------------------------------------------------------- */

static bool is_owners(const struct dt2_ledger *ledger, const struct dt2_ledger_record *record)
{
    return record->pid == getpid() && record->owner == (uintptr_t)ledger->owner;
}

uint64_t dt2_ledger_promised(const struct dt2_ledger *ledger, const char *budget, pid_t *whose)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < ledger->count; i++) {
        const struct dt2_ledger_record *record = &ledger->records[i];
        if (is_owners(ledger, record) || strcmp(record->budget, budget) != 0)
            continue;
        if (dt2_add_overflows(bytes, record->bytes, &bytes))
            bytes = UINT64_MAX;
        if (whose)
            *whose = (pid_t)record->pid;
    }
    return bytes;
}

void dt2_ledger_promise(struct dt2_ledger *ledger, const char *budget, uint64_t bytes)
{
    struct dt2_ledger_record record = { .pid = getpid(), .start = dt2_place_start_of(getpid()), .owner = (uintptr_t)ledger->owner,
                                        .load = ledger->load, .bytes = bytes };
    if (bytes == 0 || ledger->count == RECORDS_MAX || record.start == 0 || strlen(budget) >= sizeof record.budget)
        return;
    snprintf(record.budget, sizeof record.budget, "%s", budget);
    ledger->records[ledger->count++] = record;
    ledger->changed = true;
}

/* Forgets what this load promised. */
static void strike(struct dt2_ledger *ledger)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger->count; i++)
        if (!is_owners(ledger, &ledger->records[i]) || ledger->records[i].load != ledger->load)
            ledger->records[kept++] = ledger->records[i];
    ledger->changed |= kept < ledger->count;
    ledger->count = kept;
}

void dt2_ledger_close(struct dt2_ledger *ledger)
{
    if (ledger->fd < 0)
        return;
    if (dt2_ledger_lock(ledger)) {
        strike(ledger);
        dt2_ledger_unlock(ledger);
    }
    close(ledger->fd);
    ledger->fd = -1;
}
