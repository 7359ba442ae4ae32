/* SPDX-License-Identifier: BSD-3-Clause */
/* Models whose host shares are one for several processes: who fills, who attaches, what happens when somebody is killed meanwhile. */
#include "support/sharer.h"
#include "support/tap.h"
#include <sched.h>
#include <sys/mount.h>

/* -- tests ----------------------------------------------------------------------------------------------------------- */

static const char *model;
static struct task plain(void)
{
    return (struct task){ .path = model, .share = DT2_SHARE_ONLY };
}

static void is_result(struct result result, int64_t filled, int64_t users, const char *what)
{
    is_int(result.rc, 0, "%s: loaded %s", what, result.text);
    is_int(result.shared, BYTES, "%s: all is shared", what);
    is_int(result.filled, filled, "%s: bytes that it filled", what);
    is_int(result.users, users, "%s: users", what);
    is_int(result.good, 1, "%s: every byte is the file's", what);
}

/* valgrind itself reads what it tells of. */
static void reads_nothing(const struct result *result, const char *what)
{
    ok(result->read_bytes < BYTES / 50 || getenv("MEMCHECK"), "%s: %jd bytes", what, (intmax_t)result->read_bytes);
}

static void test_attach(void)
{
    struct task task = plain();
    struct process a = start(&task);
    is_result(answer(a), BYTES, 1, "the first");
    struct process b = start(&task);
    struct result attached = answer(b);
    is_result(attached, 0, 2, "the second");
    reads_nothing(&attached, "which read nothing of the file");
    is_int(rooms(), 1, "one room");
    int64_t held = segment_bytes(b.pid);
    ok(held >= BYTES && held < BYTES + 2 * MIB, "one copy, and less than 2 MiB more: %jd", (intmax_t)held);
    is_int(ask(a, 'u').rc, 0, "the first unloads");
    is_int(segment_bytes(a.pid), 0, "and has nothing");
    is_int(ask(b, 'c').good, 1, "the second has its bytes still");
    is_result(ask(a, 'l'), 0, 2, "the first again");
    end(a);
    end(b);
    is_int(rooms(), 0, "and nothing is left");
}

static uint64_t huge_bytes(pid_t pid)
{
    char name[64], line[256];
    uint64_t huge = 0;
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(name, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "ShmemPmdMapped:", 15) == 0)
            huge = strtoull(line + 15, NULL, 10) << 10;
    if (file)
        fclose(file);
    return huge;
}

/* Huge pages, where the kernel gives them; and where it gives none, small ones that are written to. */
static void test_pages(void)
{
    struct task task = plain();
    for (int without = 0; without < 2; without++) {
        prctl(PR_SET_THP_DISABLE, without, 0, 0, 0);
        struct process a = start(&task), b = start(&task);
        struct result one = answer(a), other = answer(b);
        ok(one.rc == 0 && other.rc == 0 && one.good == 1 && other.good == 1, "%s huge pages: every byte", without ? "without" : "with");
        is_int(one.filled + other.filled, BYTES, "which one of them filled");
        int64_t held = segment_bytes(a.pid), huge = (int64_t)(huge_bytes(a.pid) + huge_bytes(b.pid));
        ok(held >= BYTES && held < BYTES + 2 * MIB, "one copy, and less than 2 MiB more: %jd", (intmax_t)held);
        if (without)
            is_int(huge, 0, "no page is huge");
        else if (huge == 0)
            skip(1, "the kernel gives memory that is shared no huge pages");
        else
            ok(huge >= BYTES - 4 * MIB, "nearly all is in huge ones: %jd of %jd", (intmax_t)huge, (intmax_t)BYTES);
        end(a);
        end(b);
    }
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

/* Another model ejects one that two processes have. */
static void test_eject(void)
{
    struct task task = plain();
    struct process a = start(&task), b;
    answer(a);
    b = start(&task);
    answer(b);
    struct result other = ask(b, 'o');
    is_int(other.rc, 0, "another model is loaded, which ejects one that is shared: %s", other.text);
    ok(strstr(other.text, "stay in host memory: 1 other process"), "and what of it is not freed is said");
    is_int(ask(a, 'c').good, 1, "who has it keeps it");
    end(a);
    end(b);
    is_int(rooms(), 0, "and nothing is left");
}

static void test_same_process(void)
{
    struct task task = plain();
    struct process a = start(&task);
    answer(a);
    is_result(ask(a, 'l'), 0, 1, "the same model once more, which ejects the first");
    is_int(ask(a, 'c').good, 1, "it has its bytes");
    is_int(segment_bytes(a.pid) < BYTES + 2 * MIB, 1, "in the same memory");
    end(a);
    is_int(rooms(), 0, "and leaves nothing");
}

static void test_verify(void)
{
    struct task task = plain();
    task.verify = true;
    struct process a = start(&task);
    is_result(answer(a), BYTES, 1, "verified");
    struct process b = start(&task);
    struct result attached = answer(b);
    is_result(attached, 0, 2, "verified by its hashes");
    reads_nothing(&attached, "without reading the file once more");
    end(a);
    end(b);
}

static void test_killed(int percent)
{
    struct task task = plain(), killed = plain();
    killed.fault = KILLED;
    killed.percent = percent;
    struct process filler = start(&killed);
    while (segment_bytes(filler.pid) == 0 && !has_ended(filler.pid)) /* it has the lock then */
        usleep(1000);
    struct process waits = start(&task), also = start(&task);
    struct result one = answer(waits), other = answer(also);
    ok(answer(filler).rc == -100 || percent > 0, "a filler is killed at %d %%", percent);
    end(filler);
    is_int(one.rc + other.rc, 0, "who waited is loaded");
    is_int(one.good + other.good, 2, "with the file's bytes");
    ok(one.filled + other.filled == BYTES || percent > 0, "which one of them filled again");
    shoot(waits);
    shoot(also);
    struct process next = start(&task);
    is_result(answer(next), BYTES, 1, "all killed: the next");
    end(next);
    is_int(rooms(), 0, "and nothing is left");
}

static void test_stopped(void)
{
    struct task stopped = plain(), waits = plain();
    stopped.fault = STOPPED;
    waits.fault = CANCELS;
    struct process filler = start(&stopped);
    int status;
    waitpid(filler.pid, &status, WUNTRACED);
    struct process other = start(&waits);
    is_int(answer(other).rc, DT2_ECANCELLED, "who waits for a stopped one can cancel");
    end(other);
    kill(filler.pid, SIGCONT);
    struct result result = answer(filler);
    is_result(result, BYTES, 1, "which goes on");
    end(filler);
    is_int(rooms(), 0, "and nothing is left");
}

static void test_file_changes(void)
{
    const char *path = make_model("changing.safetensors", "U8", 3);
    struct task task = { .path = path, .share = DT2_SHARE_ONLY }, bad = task;
    bad.fault = CUT;
    struct process filler = start(&bad);
    is_int(answer(filler).rc, DT2_EFAILED, "a file that becomes shorter while it is read: the load fails");
    end(filler);
    is_int(rooms(), 0, "and nothing is left");
    path = make_model("changing.safetensors", "U8", 3);
    make_model("other.safetensors", "U8", 4);
    bad.fault = REPLACED;
    filler = start(&bad);
    is_int(answer(filler).rc, DT2_EFAILED, "a file that is replaced while it is read: the load fails");
    end(filler);
    struct process a = start(&task);
    is_result(answer(a), BYTES, 1, "the one that is there now");
    make_model("other.safetensors", "U8", 5);
    rename(scratch("other.safetensors"), path);
    struct process b = start(&task);
    is_result(answer(b), BYTES, 1, "one that was put in its place");
    is_int(rooms(), 2, "is another");
    FILE *stream = fopen(path, "r+");
    struct stat st;
    stat(path, &st);
    fseek(stream, -1, SEEK_END);
    putc('!', stream);
    fclose(stream);
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    utimensat(AT_FDCWD, path, times, 0);
    struct process c = start(&task);
    is_result(answer(c), BYTES, 1, "one that was rewritten in place, and given its old time");
    end(a);
    end(b);
    end(c);
    is_int(rooms(), 0, "and nothing is left");
}

static void test_write(void)
{
    struct task task = plain();
    struct process a = start(&task), b;
    answer(a);
    b = start(&task);
    answer(b);
    ask(b, 'w');
    is_int(WTERMSIG(end(b)), SIGSEGV, "who writes to a weight is stopped");
    is_int(ask(a, 'c').good, 1, "and the others have their bytes");
    ask(a, 'w');
    is_int(WTERMSIG(end(a)), SIGSEGV, "also who has filled it");
}

static void test_kinds(void)
{
    const char *path = make_model("float.safetensors", "F32", 6);
    struct task as_is = { .path = path, .share = DT2_SHARE_ONLY }, half = as_is;
    half.dtype = "F16";
    struct process a = start(&as_is), b = start(&half);
    is_int(answer(a).filled, BYTES, "as it is");
    struct result cast = answer(b);
    is_int(cast.filled, BYTES / 2, "in another dtype it is another segment");
    is_int(cast.good, 1, "with its bytes");
    struct process c = start(&half);
    is_int(answer(c).filled, 0, "which others share");
    end(a);
    end(b);
    end(c);
}

/* One that is bound to a node cannot be where nothing is bound. */
static void test_nodes(void)
{
    struct task anywhere = plain(), bound = plain();
    anywhere.where = "cpu,50%;cpu:0,*";
    bound.where = "cpu:0,*";
    struct process a = start(&anywhere);
    struct result first = answer(a);
    if (first.rc == DT2_ENOENT || first.rc == DT2_EUSAGE) {
        end(a);
        skip(1, "there is no node 0");
        return;
    }
    is_int(first.filled, BYTES, "half of it is bound to a node: %s", first.text);
    struct process b = start(&bound);
    is_int(answer(b).rc, DT2_EFAILED, "what must be shared, and lies elsewhere, is refused");
    end(b);
    bound.share = DT2_SHARE_NODE;
    b = start(&bound);
    struct result second = answer(b);
    is_int(second.rc, 0, "what may be is loaded: %s", second.text);
    ok(second.shared < BYTES && second.shared > 0 && second.filled == 0, "and shared as far as it lies there");
    ok(strstr(second.text, "another NUMA node"), "which is said");
    is_int(second.good, 1, "with the file's bytes");
    struct process c = start(&(struct task){ .path = model, .share = DT2_SHARE_ONLY, .where = "cpu,*" });
    is_int(answer(c).filled, 0, "who wants no node takes them wherever they are");
    end(a);
    end(b);
    end(c);
}

struct in_thread {
    struct result result;
    struct loaded loaded;
};

static void *load_in_thread(void *data)
{
    struct in_thread *of = data;
    struct task task = plain();
    of->result = load(&task, &of->loaded);
    return NULL;
}

static void test_threads(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct in_thread of[3] = { 0 };
        pthread_t threads[3];
        int64_t filled = 0, good = 0;
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, load_in_thread, &of[i]);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            filled += of[i].result.filled;
            good += of[i].result.good;
        }
        for (int i = 0; i < 3; i++)
            let_go(&of[i].loaded);
        _exit(filled == BYTES && good == 3 && rooms() == 0 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    is_int(status, 0, "three threads of one process share too");
}

/* -- where nothing can be shared --------------------------------------------------------------------------------------- */

static void unshared(const char *what)
{
    struct task task = { .path = model, .share = DT2_SHARE_NODE };
    struct process a = start(&task);
    struct result result = answer(a);
    is_int(result.rc, 0, "%s: loaded", what);
    is_int(result.shared, 0, "%s: not shared", what);
    is_int(result.good, 1, "%s: with the file's bytes", what);
    ok(strstr(result.text, "not shared"), "%s: %s", what, result.text);
    end(a);
    task.share = DT2_SHARE_ONLY;
    a = start(&task);
    result = answer(a);
    is_int(result.rc, DT2_EFAILED, "%s: and refused where it must be: %s", what, result.text);
    end(a);
}

/* In a place of its own in the file tree: 0: as it should be, 1: not, 2: nothing can be mounted. */
static int without_place(const char *where, const char *options)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct task task = { .path = model, .share = DT2_SHARE_NODE };
        struct loaded loaded = { NULL, NULL, NULL };
        unsetenv("XDG_RUNTIME_DIR");
        if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
            mount("tmpfs", where, "tmpfs", strstr(options, "ro") ? MS_RDONLY : 0, "size=64k"))
            _exit(2);
        struct result result = load(&task, &loaded);
        let_go(&loaded);
        _exit(result.rc == 0 && result.shared == 0 && result.good == 1 && strstr(result.text, "not shared") ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void no_place(const char *where, const char *options, const char *what)
{
    int status = without_place(where, options);
    if (status == 2)
        skip(1, "nothing can be mounted here");
    else
        is_int(status, 0, "%s: loaded, not shared, and said", what);
}

static void test_places(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/distorch2", runtime);
    chmod(path, 0777);
    unshared("a folder for all");
    chmod(path, 0700);
    if (geteuid() == 0 && chown(path, 12345, 12345) == 0) {
        unshared("somebody else's folder");
        (void)!chown(path, 0, 0);
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
            mount("tmpfs", path, "tmpfs", 0, "size=8k,mode=0700"))
            _exit(2);
        struct task task = { .path = model, .share = DT2_SHARE_NODE };
        struct loaded loaded = { NULL, NULL, NULL };
        char file[4300];
        snprintf(file, sizeof file, "%s/full", path);
        FILE *stream = fopen(file, "w");
        for (int i = 0; stream && i < 8192; i++)
            putc('x', stream);
        if (stream)
            fclose(stream);
        struct result full = load(&task, &loaded);
        let_go(&loaded);
        _exit(full.rc == 0 && full.shared == 0 && full.good == 1 && strstr(full.text, "not shared") ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        skip(1, "nothing can be mounted here");
    else
        is_int(status, 0, "a full place: loaded, not shared, and said");
    no_place("/dev/shm", "ro", "/dev/shm that is read-only");
    no_place("/dev", "", "no /dev/shm");
}

static void test_hidden(void)
{
    struct task task = plain();
    if (geteuid() == 0) {
        skip(1, "root may look into every process");
        return;
    }
    task.hidden = true;
    struct process a = start(&task);
    answer(a);
    unshared("one that lets nobody in");
    end(a);
}

static void test_namespace(void)
{
    struct task task = plain();
    struct process a = start(&task);
    answer(a);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int status;
        if (unshare(CLONE_NEWPID) || unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL))
            _exit(2);
        pid_t first = fork();
        if (first == 0) {
            struct loaded loaded = { NULL, NULL, NULL };
            if (mount("proc", "/proc", "proc", 0, NULL))
                _exit(2);
            struct result result = load(&task, &loaded);
            let_go(&loaded);
            _exit(result.rc == 0 && result.filled == BYTES && result.users == 1 && result.good == 1 ? 0 : 1);
        }
        waitpid(first, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        skip(1, "no other namespace of processes can be had here");
    else
        is_int(status, 0, "in another namespace of processes there is another segment");
    is_int(ask(a, 'c').good, 1, "and this one stands");
    end(a);
}

int main(void)
{
    snprintf(runtime, sizeof runtime, "%s/run", scratch_begin());
    if (mkdir(runtime, 0700) < 0 || setenv("XDG_RUNTIME_DIR", runtime, 1) < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    model = make_model("model.safetensors", "U8", 1);
    make_model("eject.safetensors", "U8", 2);
    test_attach();
    test_pages();
    test_eject();
    test_same_process();
    test_verify();
    test_killed(0);
    test_killed(1);
    test_killed(50);
    test_killed(99);
    test_stopped();
    test_file_changes();
    test_write();
    test_kinds();
    test_nodes();
    test_threads();
    test_places();
    test_hidden();
    test_namespace();
    return done_testing();
}
