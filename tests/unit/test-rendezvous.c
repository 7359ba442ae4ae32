/* SPDX-License-Identifier: BSD-3-Clause */
/* Users of one segment: who attaches, who fills after somebody who was killed, what is refused, and what is left behind. */
#include "base/error.h"
#include "share/place.h"
#include "share/rendezvous.h"
#include "share/room.h"
#include "support/held.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 5
#define BLOCK ((uint64_t)1 << 20)

static char folder[4096], place[4200];
static uint64_t block_bytes[BLOCKS] = { BLOCK, BLOCK, BLOCK, BLOCK, BLOCK };
static struct dt2_share_key key = { .identity = "some identity", .path = "a.safetensors", .block_bytes = block_bytes,
                                    .block_count = BLOCKS, .tensor_count = 9 };
static struct dt2_error err;

static const char *room_path(void)
{
    static char path[4400];
    char name[64];
    dt2_room_name(key.identity, name);
    snprintf(path, sizeof path, "%s/%s", place, name);
    return path;
}

/* Enters, joins with these blocks (a bit each), and fills those that are empty with a letter. Returns how many, -1: refused. */
static int use(struct dt2_shared *shared, unsigned blocks, char letter)
{
    int filled = 0, rc = dt2_shared_open(&key, shared, &err);
    for (int tries = 0; rc == 0 && (rc = dt2_shared_enter(shared, &err)) == DT2_SHARED_BUSY && tries < 2000; tries++, rc = 0)
        usleep(1000);
    if (rc != 0 || !dt2_shared_record(shared))
        return -1;
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks >> i & 1)
            dt2_user_hold(shared->own, i);
    if (dt2_shared_join(shared, &err) < 0)
        return -1;
    dt2_shared_begin(shared, BLOCKS * BLOCK);
    for (size_t i = 0; i < BLOCKS; i++) {
        char *memory = shared->segment.map + shared->segment.offsets[i];
        if (dt2_shared_state(shared, i) != DT2_BLOCK_FILLING)
            continue;
        dt2_segment_writable(memory, BLOCK, true);
        memset(memory, letter, BLOCK);
        dt2_segment_writable(memory, BLOCK, false);
        filled++;
    }
    return filled;
}

static int load(struct dt2_shared *shared, unsigned blocks, char letter)
{
    int filled = use(shared, blocks, letter);
    if (filled >= 0)
        dt2_shared_end(shared, true);
    dt2_shared_leave(shared);
    return filled;
}

static char first_of(const struct dt2_shared *shared, size_t block)
{
    return shared->segment.map[shared->segment.offsets[block]];
}

/* A process that does something, says so, and waits to be ended. */
struct other {
    pid_t pid;
    int say;
};

static struct other other_does(void (*what)(void *), void *data)
{
    int there[2], end[2];
    char said;
    if (pipe(there) || pipe(end))
        exit(1);
    struct other other = { fork(), end[1] };
    if (other.pid == 0) {
        close(end[1]);
        what(data);
        (void)!write(there[1], "!", 1);
        (void)!read(end[0], &said, 1);
        _exit(0);
    }
    close(end[0]);
    close(there[1]);
    (void)!read(there[0], &said, 1);
    close(there[0]);
    return other;
}

static void end(struct other other)
{
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    close(other.say);
}

static void loads_all(void *data)
{
    static struct dt2_shared shared;
    (void)data;
    load(&shared, 31, 'b');
}

static void loads_first_two(void *data)
{
    static struct dt2_shared shared;
    (void)data;
    load(&shared, 3, 'b');
}

/* Is killed with the lock, and one block filled that nobody knows to be good. */
static void fills_for_ever(void *data)
{
    static struct dt2_shared shared;
    (void)data;
    use(&shared, 31, 'x');
}

static void is_closed(void *data)
{
    loads_all(data);
    prctl(PR_SET_DUMPABLE, 0);
}

/* The one that it loads it forks, and ends. */
static void loads_and_forks(void *data)
{
    static struct dt2_shared shared;
    pid_t *child = data;
    load(&shared, 31, 'f');
    *child = fork();
    if (*child == 0) {
        while (!__atomic_load_n(&child[1], __ATOMIC_ACQUIRE))
            usleep(1000);
        child[2] = shared.segment.map[shared.segment.offsets[1]];
        _exit(0);
    }
}

static void test_one(void)
{
    struct dt2_shared a, b;
    is_int(load(&a, 1 | 2, 'a'), 2, "the first fills its blocks");
    is_int(access(room_path(), F_OK), 0, "and there is a record");
    is_int(load(&b, 2 | 4, 'b'), 1, "who has other blocks fills what is missing");
    is_int(first_of(&b, 1), 'a', "and has what was there");
    is_int(first_of(&a, 2), 'b', "as the first has what came");
    is_int((long long)dt2_shared_users(&b), 1, "one process has them");
    is_int((long long)dt2_shared_sole_bytes(&a), BLOCK, "one block is the first's alone");
    uint64_t held = dt2_segment_held(b.segment.fd);
    dt2_shared_close(&a);
    is_int((long long)(held - dt2_segment_held(b.segment.fd)), BLOCK, "which leaving gives back");
    is_int(first_of(&b, 1), 'a', "and no other");
    is_int(load(&a, 1, 'c'), 1, "it is filled again");
    dt2_shared_close(&a);
    dt2_shared_close(&b);
    is_int(access(room_path(), F_OK), -1, "the last user leaves nothing");
}

static void test_others(void)
{
    struct dt2_shared a, b;
    struct other other = other_does(loads_all, NULL);
    is_int(load(&a, 31, 'a'), 0, "another process has filled all");
    is_int(first_of(&a, 3), 'b', "its bytes are here");
    is_int((long long)dt2_shared_users(&a), 2, "two processes");
    is_int((long long)dt2_shared_sole_bytes(&a), 0, "nothing is this one's alone");
    end(other);
    is_int(first_of(&a, 4), 'b', "they stay when it is killed");
    is_int(load(&b, 31, 'c'), 0, "and another attaches by who is left");
    is_int((long long)dt2_shared_users(&a), 1, "the dead is no user");
    dt2_shared_close(&a);
    dt2_shared_close(&b);
    other = other_does(loads_first_two, NULL);
    end(other);
    is_int(access(room_path(), F_OK), 0, "all killed: the record stays");
    is_int(load(&a, 31, 'a'), BLOCKS, "and the next fills all");
    dt2_shared_close(&a);
    is_int(access(room_path(), F_OK), -1, "and leaves nothing");
}

static void test_fillers(void)
{
    struct dt2_shared a, b;
    struct other holder = other_does(loads_first_two, NULL), filler = other_does(fills_for_ever, NULL);
    uint64_t done;
    dt2_shared_open(&key, &a, &err);
    is_int(dt2_shared_enter(&a, &err), DT2_SHARED_BUSY, "who fills has the lock");
    is_int(dt2_shared_peek(&a, &done), filler.pid, "and is known");
    dt2_shared_close(&a);
    end(filler);
    is_int(load(&b, 31, 'c'), 3, "killed: the next fills what was not ready");
    ok(first_of(&b, 0) == 'b' && first_of(&b, 2) == 'c' && first_of(&b, 4) == 'c', "and nothing half filled is taken");
    dt2_shared_close(&b);
    end(holder);
    is_int(use(&a, 31, 'd'), BLOCKS, "a load that fails");
    uint64_t before = dt2_segment_held(a.segment.fd);
    dt2_shared_end(&a, false);
    is_int((long long)(before - dt2_segment_held(a.segment.fd)), BLOCKS * BLOCK, "gives its memory back");
    dt2_shared_part(&a);
    dt2_shared_leave(&a);
    dt2_shared_close(&a);
    is_int(access(room_path(), F_OK), -1, "and leaves nothing");
}

static void test_doors(void)
{
    struct dt2_shared a;
    struct other other = other_does(is_closed, NULL);
    if (geteuid() != 0) {
        is_int(load(&a, 31, 'a'), -1, "who lets nobody in: nothing is shared");
        ok(strstr(err.text, "does not let others"), "and why is said: %s", err.text);
        dt2_shared_close(&a);
    }
    end(other);
    is_int(load(&a, 31, 'a'), BLOCKS, "it is gone: shared again");
    dt2_shared_close(&a);

    pid_t *child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    other = other_does(loads_and_forks, child);
    struct dt2_shared b;
    is_int(load(&a, 31, 'g'), 0, "attached to one that has a child");
    end(other);
    is_int(load(&b, 31, 'g'), 0, "who died");
    dt2_shared_close(&b);
    dt2_shared_close(&a);
    __atomic_store_n(&child[1], 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 5000 && !child[2]; i++)
        usleep(1000);
    is_int(child[2], 'f', "what a child has mapped stays as it is");
    is_int(load(&a, 1, 'h'), 1, "though nobody finds it any more");
    dt2_shared_close(&a);
}

/* A process that becomes another program keeps its number and its beginning, and nothing of the segment. */
static void test_exec(void)
{
    struct dt2_shared a;
    char comm[64], said[16] = "";
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        loads_all(NULL);
        execlp("sleep", "sleep", "60", (char *)NULL);
        _exit(1);
    }
    snprintf(comm, sizeof comm, "/proc/%d/comm", (int)pid);
    for (int i = 0; i < 5000 && strcmp(said, "sleep\n") != 0; i++) {
        FILE *stream = fopen(comm, "re");
        if (!stream || !fgets(said, sizeof said, stream))
            said[0] = '\0';
        if (stream)
            fclose(stream);
        usleep(1000);
    }
    is_str(said, "sleep\n", "a user has become another program");
    is_int(load(&a, 31, 'e'), BLOCKS, "which is no user: the next fills all");
    is_int((long long)dt2_shared_users(&a), 1, "and is alone");
    dt2_shared_close(&a);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* -- what is refused ------------------------------------------------------------------------------------------------- */

static void refused(const char *what)
{
    struct dt2_shared a;
    int filled = load(&a, 31, 'a');
    is_int(filled, -1, "%s: refused", what);
    ok(err.text[0], "%s", err.text);
    dt2_shared_close(&a);
}

static void put(const char *bytes, size_t size, mode_t mode)
{
    int fd = open(room_path(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)!write(fd, bytes, size);
    fchmod(fd, mode);
    close(fd);
}

/* With one descriptor more each time, until there are enough. */
static void test_limits(void)
{
    struct rlimit limit, less;
    struct dt2_shared a;
    int filled = -1, tries = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (; filled < 0 && tries < 20; tries++) {
        less = (struct rlimit){ (rlim_t)tries + 3, limit.rlim_max };
        setrlimit(RLIMIT_NOFILE, &less);
        filled = load(&a, 31, 'a');
        dt2_shared_close(&a);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    ok(tries > 2, "too few descriptors: refused");
    is_int(filled, BLOCKS, "enough of them");
    getrlimit(RLIMIT_FSIZE, &limit);
    less = (struct rlimit){ 1 << 20, limit.rlim_max };
    setrlimit(RLIMIT_FSIZE, &less);
    refused("files may not be as large");
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_refused(void)
{
    static char much[3 * DT2_RECORDS_AT];
    struct stat st;
    memset(much, 'z', sizeof much);
    put(much, sizeof much, 0600);
    refused("garbage");
    put(much, 7, 0600);
    refused("a little garbage");
    is_int(truncate(room_path(), (off_t)1 << 40), 0, "a sparse one");
    refused("a file without end");
    put("", 0, 0666);
    refused("a file for all");
    unlink(room_path());
    put("", 0, 0600);
    char other_name[4500];
    snprintf(other_name, sizeof other_name, "%s/other", place);
    if (link(room_path(), other_name) == 0)
        refused("a file of two names");
    unlink(room_path());
    if (symlink(other_name, room_path()) == 0)
        refused("a link");
    unlink(room_path());
    mkfifo(room_path(), 0600);
    refused("a pipe");
    unlink(room_path());
    unlink(other_name);
    chmod(place, 0777);
    refused("a folder for all");
    chmod(place, 0700);
    if (geteuid() == 0 && chown(place, 12345, 12345) == 0) {
        refused("a folder of somebody else's");
        is_int(chown(place, 0, 0), 0, "given back");
    }
    test_limits();
    is_int(stat(room_path(), &st), -1, "and nothing is left of all that");
}

/* Who has ended is dead, also while nobody has asked how. */
static void test_ended(void)
{
    int wait[2];
    char byte;
    if (pipe(wait))
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        close(wait[1]);
        (void)!read(wait[0], &byte, 1);
        _exit(0);
    }
    uint64_t start = dt2_place_start_of(pid);
    ok(!dt2_place_is_dead(pid, start), "a process that lives");
    ok(dt2_place_is_dead(pid, start + 1), "another of its number");
    close(wait[0]);
    close(wait[1]);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    ok(dt2_place_is_dead(pid, start), "one that has ended, and was not waited for");
    waitpid(pid, NULL, 0);
    ok(dt2_place_is_dead(pid, start), "and one that was");
}

/* Memory with a segment's head, and as large. */
static int like(const struct dt2_segment *segment)
{
    struct dt2_segment_head head;
    int fd = memfd_create("distorch2-x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ftruncate(fd, (off_t)segment->bytes) < 0 || pread(segment->fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        ok(false, "memory like a segment");
    return fd;
}

/* A record that leads to something else than the segment. */
static void test_wrong_doors(void)
{
    struct dt2_shared a;
    struct dt2_user user = { .pid = getpid(), .start = dt2_place_start_of(getpid()), .fd = 0 };
    int fd = -1;
    is_int(dt2_room_open_user(&user, key.identity, &fd), DT2_DOOR_DEAD, "a descriptor of something else");
    user.fd = 900;
    is_int(dt2_room_open_user(&user, key.identity, &fd), DT2_DOOR_DEAD, "a descriptor that is none");
    is_int(load(&a, 31, 'a'), BLOCKS, "a segment");
    user.fd = a.segment.fd;
    user.start++;
    is_int(dt2_room_open_user(&user, key.identity, &fd), DT2_DOOR_DEAD, "a number that another process has by now");
    user.start--;
    is_int(dt2_room_open_user(&user, key.identity, &fd), DT2_DOOR_OPEN, "the segment itself");
    struct dt2_segment segment = { .fd = -1 };
    struct dt2_share_key larger = key;
    larger.tensor_count += 1 << 20;
    is_int(dt2_segment_take(&larger, fd, &segment, &err), DT2_EFAILED, "which is of another size than a model's: %s", err.text);
    int same = like(&a.segment), unsealed = like(&a.segment);
    dt2_shared_close(&a);
    is_int(dt2_segment_take(&key, unsealed, &segment, &err), DT2_EFAILED, "one that is not sealed is not taken: %s", err.text);
    is_int(fcntl(same, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0, "one that is");
    is_int(dt2_segment_take(&key, same, &segment, &err), 0, "is taken");
    dt2_segment_clear(&segment);
}

/* What happens between opening the room and locking it, once. */
static void (*before_lock)(void);

int flock(int fd, int operation)
{
    void (*happens)(void) = operation & LOCK_EX ? before_lock : NULL;
    before_lock = happens ? NULL : before_lock;
    if (happens)
        happens();
    return (int)syscall(SYS_flock, fd, operation);
}

/* Another file has the room's name, with the same in it. */
static void replace_room(void)
{
    char bytes[8192], fresh[4500];
    snprintf(fresh, sizeof fresh, "%s.new", room_path());
    int from = open(room_path(), O_RDONLY | O_CLOEXEC), to = open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t got = read(from, bytes, sizeof bytes);
    if (got <= 0 || write(to, bytes, (size_t)got) != got || rename(fresh, room_path()) < 0)
        ok(false, "another room");
    close(from);
    close(to);
}

static void test_replaced(void)
{
    struct dt2_shared a, b;
    is_int(load(&a, 31, 'a'), BLOCKS, "a segment");
    before_lock = replace_room;
    is_int(load(&b, 31, 'b'), 0, "the room is another file by the time that it is locked");
    ok(!before_lock, "which came between");
    dt2_shared_close(&a);
    is_int(first_of(&b, 0), 'a', "whoever leaves sees the other, and leaves it its bytes");
    dt2_shared_close(&b);
}

static void writes(void *data)
{
    struct dt2_shared *shared = data;
    shared->segment.map[shared->segment.offsets[0]] = 'w';
}

static void test_read_only(void)
{
    struct dt2_shared a;
    int status;
    load(&a, 31, 'r');
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        prctl(PR_SET_DUMPABLE, 0);
        writes(&a);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "who writes to a weight is stopped");
    is_int(first_of(&a, 0), 'r', "and nobody has other bytes");
    dt2_shared_close(&a);
}

static void test_many(void)
{
    struct dt2_shared a, b;
    load(&a, 31, 'm');
    int before = (int)entries_of("/proc/self/fd"), maps_before = maps_of(""), failed = 0;
    for (int i = 0; i < 1000; i++) {
        failed += load(&b, 31, 'n') != 0;
        dt2_shared_close(&b);
    }
    struct stat st;
    is_int(failed, 0, "a thousand attach one after the other");
    is_int((int)entries_of("/proc/self/fd"), before, "and no descriptor is left");
    ok(maps_of("") == maps_before || getenv("MEMCHECK"), "no map"); /* valgrind has its own */
    ok(stat(room_path(), &st) == 0 && st.st_size < DT2_RECORDS_AT + 3 * 128, "no record");
    pid_t pids[100];
    for (int i = 0; i < 100; i++)
        if ((pids[i] = fork()) == 0) {
            int filled = load(&b, 31, 'p');
            bool good = filled == 0 && first_of(&b, 2) == 'm';
            dt2_shared_close(&b);
            _exit(good ? 0 : 1);
        }
    for (int i = 0; i < 100; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        failed += status != 0;
    }
    is_int(failed, 0, "a hundred at once");
    dt2_shared_close(&a);
}

static void test_hashes(void)
{
    struct dt2_shared a;
    uint64_t hash;
    load(&a, 31, 'h');
    ok(!dt2_segment_hash(&a.segment, 3, &hash), "a hash that nobody told");
    dt2_segment_keep_hash(&a.segment, 3, 0);
    ok(dt2_segment_hash(&a.segment, 3, &hash) && hash == 0, "one that was told");
    dt2_segment_keep_hash(&a.segment, 3, UINT64_MAX);
    ok(dt2_segment_hash(&a.segment, 3, &hash) && hash == UINT64_MAX, "another");
    dt2_shared_close(&a);
}

int main(void)
{
    snprintf(folder, sizeof folder, "%s", scratch("runtime"));
    snprintf(place, sizeof place, "%s/distorch2", folder);
    if (mkdir(folder, 0700) < 0 || setenv("XDG_RUNTIME_DIR", folder, 1) < 0)
        return 1;
    test_one();
    test_others();
    test_fillers();
    test_doors();
    test_exec();
    test_refused();
    test_ended();
    test_wrong_doors();
    test_replaced();
    test_read_only();
    test_many();
    test_hashes();
    return done_testing();
}
