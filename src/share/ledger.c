/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/ledger.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
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

/* -- the place ----------------------------------------------------------------------------------------------------- */

/* A folder that nobody else may look into or put things in; closed, and -1, where it is not. */
static int own_folder(int fd)
{
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0))
        return fd;
    close(fd);
    return -1;
}

static int folder_in(int parent, const char *name)
{
    if (parent < 0)
        return -1;
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return own_folder(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

static int open_folder(void)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char name[48];
    int parent = runtime && runtime[0] == '/' ? own_folder(open(runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) : -1;
    bool has_runtime = parent >= 0;
    if (!has_runtime)
        parent = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(name, sizeof name, has_runtime ? "distorch2" : "distorch2-%" PRIuMAX, (uintmax_t)geteuid());
    int folder = folder_in(parent, name);
    if (parent >= 0)
        close(parent);
    return folder;
}

/* A plain file of ours with one name, so that what is written reaches nobody else's. */
static int own_file(int fd)
{
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1))
        return fd;
    close(fd);
    return -1;
}

void dt2_ledger_open(struct dt2_ledger *ledger, const void *owner)
{
    static _Atomic uint64_t loads;
    struct stat processes;
    char name[64];
    *ledger = (struct dt2_ledger){ .fd = -1, .load = atomic_fetch_add(&loads, 1), .owner = owner };
    int folder = stat("/proc/self/ns/pid", &processes) == 0 ? open_folder() : -1; /* numbers of processes mean others elsewhere */
    if (folder < 0)
        return;
    snprintf(name, sizeof name, "promised-1-%" PRIuMAX, (uintmax_t)processes.st_ino);
    ledger->fd = own_file(openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    close(folder);
}

/* -- who is alive --------------------------------------------------------------------------------------------------- */

/* When a process began; 0: it is none, or one that cannot be looked at. */
static uint64_t start_of(int64_t pid)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    DT2_AUTO char *line = dt2_read_line(path);
    const char *at = line ? strrchr(line, ')') : NULL; /* the name before may hold anything */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static bool is_sound(const struct dt2_ledger_record *record)
{
    return record->pid > 0 && record->start > 0 && memchr(record->budget, '\0', sizeof record->budget);
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
        if (is_sound(record) && start_of(record->pid) == record->start)
            ledger->records[ledger->count++] = *record;
    }
    ledger->changed |= ledger->count < count;
    return true;
}

/* -- the lock ------------------------------------------------------------------------------------------------------- */

static bool take_lock(int fd)
{
    const struct timespec a_moment = { .tv_nsec = 1000000 };
    for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; ms++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || ms >= LOCK_MS)
            return false;
        nanosleep(&a_moment, NULL);
    }
    return true;
}

bool dt2_ledger_lock(struct dt2_ledger *ledger)
{
    if (ledger->fd < 0 || !take_lock(ledger->fd))
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
    struct dt2_ledger_record record = { .pid = getpid(), .start = start_of(getpid()), .owner = (uintptr_t)ledger->owner,
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
