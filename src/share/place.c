/* SPDX-License-Identifier: BSD-3-Clause */
#include "share/place.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A folder that nobody else may look into or put things in; closed, and -1, where it is not. */
static int own_folder(int fd, const char *path, struct dt2_error *err)
{
    struct stat st;
    if (fd < 0) {
        dt2_fail(err, DT2_EFAILED, "%s cannot be opened: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        return fd;
    close(fd);
    dt2_fail(err, DT2_EFAILED, "%s is not a folder of this user's alone, with mode 0700", path);
    return -1;
}

static int folder_in(int parent, const char *above, const char *name, struct dt2_error *err)
{
    DT2_AUTO char *path = dt2_printf("%s/%s", above, name);
    if (!path) {
        dt2_fail_nomem(err);
        return -1;
    }
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST) {
        dt2_fail(err, DT2_EFAILED, "%s cannot be made: %s", path, strerror(errno));
        return -1;
    }
    return own_folder(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path, err);
}

int dt2_place_open(struct dt2_error *err)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR"), *above = "/dev/shm";
    char name[48];
    int parent = runtime && runtime[0] == '/' ? own_folder(open(runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC), runtime, NULL) : -1;
    snprintf(name, sizeof name, "distorch2");
    if (parent >= 0) {
        above = runtime;
    } else {
        snprintf(name, sizeof name, "distorch2-%" PRIuMAX, (uintmax_t)geteuid());
        parent = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (parent < 0) {
        dt2_fail(err, DT2_EFAILED, "%s cannot be opened: %s", above, strerror(errno));
        return -1;
    }
    int folder = folder_in(parent, above, name, err);
    close(parent);
    return folder;
}

/* What is written reaches nobody else's file, and nobody else writes. */
int dt2_place_file(int folder, const char *name, bool create, struct dt2_error *err)
{
    struct stat st;
    int fd = openat(folder, name, O_RDWR | (create ? O_CREAT : 0) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0) {
        dt2_fail(err, errno == ENOENT ? DT2_ENOENT : DT2_EFAILED, "%s cannot be opened: %s", name, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink <= 1 && (st.st_mode & 077) == 0)
        return fd;
    close(fd);
    dt2_fail(err, DT2_EFAILED, "%s is not a plain file of this user's alone, with one name and mode 0600", name);
    return -1;
}

bool dt2_place_processes(uint64_t *number)
{
    struct stat st;
    if (stat("/proc/self/ns/pid", &st) < 0)
        return false;
    *number = st.st_ino;
    return true;
}

/* When a process began, and what it does ('Z': it has ended, and nobody has asked how); 0: there is none. */
static uint64_t look_at(int64_t pid, char *state)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    DT2_AUTO char *line = dt2_read_line(path);
    const char *at = line ? strrchr(line, ')') : NULL; /* the name before may hold anything */
    *state = at && at[1] == ' ' ? at[2] : '?';
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

uint64_t dt2_place_start_of(int64_t pid)
{
    char state;
    return look_at(pid, &state);
}

bool dt2_place_is_dead(int64_t pid, uint64_t start)
{
    char state;
    uint64_t now = look_at(pid, &state);
    if (now == 0)
        return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
    return now != start || state == 'Z' || state == 'X';
}

bool dt2_place_lock(int fd, unsigned milliseconds)
{
    const struct timespec a_moment = { .tv_nsec = 1000000 };
    for (unsigned ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; ms++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || ms >= milliseconds)
            return false;
        nanosleep(&a_moment, NULL);
    }
    return true;
}
