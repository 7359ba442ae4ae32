/* SPDX-License-Identifier: BSD-3-Clause */
/* Host memory that processes promised to take: who sees it, who waits for it, and what becomes of it. */
#include "share/ledger.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUCH ((uint64_t)1 << 50) /* more than any machine has */

static char folder[4096];

/* The ledger's file, as this process would have it. */
static const char *file_path(void)
{
    static char path[4200];
    struct stat st;
    stat("/proc/self/ns/pid", &st);
    snprintf(path, sizeof path, "%s/distorch2/promised-1-%ju", folder, (uintmax_t)st.st_ino);
    return path;
}

static uint64_t promised_to(const void *owner)
{
    struct dt2_ledger ledger;
    uint64_t bytes = DT2_UNKNOWN;
    dt2_ledger_open(&ledger, owner);
    if (dt2_ledger_lock(&ledger)) {
        bytes = dt2_ledger_promised(&ledger, "cpu", NULL);
        dt2_ledger_unlock(&ledger);
    }
    dt2_ledger_close(&ledger);
    return bytes;
}

static void promise(struct dt2_ledger *ledger, const void *owner, uint64_t bytes)
{
    dt2_ledger_open(ledger, owner);
    if (dt2_ledger_lock(ledger)) {
        dt2_ledger_promise(ledger, "cpu", bytes);
        dt2_ledger_unlock(ledger);
    }
}

/* A process that promises, says so, and ends when it is told to. */
struct other {
    pid_t pid;
    int say; /* closing it ends the process */
};

static struct other other_promises(uint64_t bytes)
{
    int there[2], end[2];
    char said;
    if (pipe(there) || pipe(end))
        exit(1);
    struct other other = { .pid = fork(), .say = end[1] };
    if (other.pid == 0) {
        struct dt2_ledger ledger;
        close(end[1]);
        promise(&ledger, &other, bytes);
        (void)!write(there[1], "!", 1);
        (void)!read(end[0], &said, 1);
        dt2_ledger_close(&ledger);
        _exit(0);
    }
    close(end[0]);
    close(there[1]);
    if (read(there[0], &said, 1) != 1)
        exit(1);
    close(there[0]);
    return other;
}

static void end_other(struct other *other, int signal_number)
{
    if (signal_number)
        kill(other->pid, signal_number);
    close(other->say);
    waitpid(other->pid, NULL, 0);
}

static void test_who_sees_it(void)
{
    struct dt2_ledger mine;
    int me, somebody_else;
    promise(&mine, &me, 1000);
    is_u64(promised_to(&me), 0, "what loads of one owner promise they see by themselves");
    is_u64(promised_to(&somebody_else), 1000, "others see it");
    struct other other = other_promises(234);
    is_u64(promised_to(&me), 234, "and so do other processes'");
    is_u64(promised_to(&somebody_else), 1234, "all of it");
    dt2_ledger_close(&mine);
    is_u64(promised_to(&somebody_else), 234, "what is closed is struck");
    end_other(&other, 0);
    is_u64(promised_to(&me), 0, "so is what another closes");
    other = other_promises(234);
    end_other(&other, SIGKILL);
    is_u64(promised_to(&me), 0, "who was killed has promised nothing");
    struct stat st;
    ok(stat(file_path(), &st) == 0 && st.st_size == 0, "nothing is left in the file");
    is_u64(st.st_mode & 0777, 0600, "which is the user's alone");
}

/* -- loads --------------------------------------------------------------------------------------------------------- */

static struct dt2_context *context;
static struct dt2_file *file;
static struct dt2_blocks *blocks;

struct watch {
    struct other *other; /* ends after some waiting; NULL: the load is cancelled then */
    unsigned waits, loads;
};

static int watch(void *data, const struct dt2_progress *progress)
{
    struct watch *watched = data;
    watched->loads += !progress->waiting;
    if (!progress->waiting || ++watched->waits < 3)
        return 0;
    if (watched->waits == 3 && watched->other)
        end_other(watched->other, 0);
    return watched->other == NULL;
}

static int load(struct watch *watched, uint64_t reserve_bytes, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    const struct dt2_limit reserve = { "cpu", reserve_bytes };
    struct dt2_model *model;
    request.compute_device = "cpu";
    request.reserves = &reserve;
    request.reserve_count = 1;
    options.progress = watch;
    options.progress_data = watched;
    int rc = dt2_model_load(context, file, blocks, &request, &options, &model, err);
    if (rc == 0) {
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    return rc;
}

static void test_loads(void)
{
    struct dt2_error err = { 0 };
    struct watch watched = { .waits = 0 };
    is_int(load(&watched, 0, &err), 0, "a load beside nobody");
    is_u64(watched.waits, 0, "does not wait");
    is_u64(promised_to(NULL), 0, "and what it promised is struck");
    struct other other = other_promises(MUCH);
    watched = (struct watch){ .other = &other };
    is_int(load(&watched, 0, &err), 0, "a load beside one that promised everything");
    ok(watched.waits >= 3 && watched.loads > 0, "waits until that is over");
    other = other_promises(MUCH);
    watched = (struct watch){ .other = NULL };
    is_int(load(&watched, 0, &err), DT2_ECANCELLED, "and can be cancelled");
    watched = (struct watch){ .other = NULL };
    is_int(load(&watched, MUCH, &err), DT2_ENOFIT, "what would not fit alone is refused");
    is_u64(watched.waits, 0, "at once");
    end_other(&other, 0);
}

/* -- what is no ledger ---------------------------------------------------------------------------------------------- */

static void put_there(const void *bytes, size_t size)
{
    int fd = open(file_path(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        exit(1);
    close(fd);
}

static void loads_with(const char *what)
{
    struct dt2_error err = { 0 };
    struct watch watched = { .waits = 0 };
    ok(load(&watched, 0, &err) == 0 && watched.waits == 0, "%s is no reason not to load", what);
}

static void test_garbage(void)
{
    /* pid, start, owner, load, bytes, budget: a process that is none, and this one under another start */
    struct {
        int64_t pid;
        uint64_t start, owner, load, bytes;
        char budget[56];
    } records[] = { { 1 << 30, 7, 0, 0, MUCH, "cpu" }, { getpid(), 7, 0, 0, MUCH, "cpu" }, { -1, 0, 0, 0, MUCH, "cpu" } };
    put_there(records, sizeof records);
    loads_with("a process that is none, or another by now,");
    memset(records, 0xFF, sizeof records);
    put_there(records, sizeof records);
    loads_with("nonsense");
    put_there("half a record", 13);
    loads_with("half a record");
    ok(truncate(file_path(), (off_t)1 << 40) == 0, "a huge file");
    loads_with("a huge file");
    unlink(file_path());
    ok(symlink("/etc/passwd", file_path()) == 0, "a link");
    loads_with("a link");
    unlink(file_path());
    ok(mkfifo(file_path(), 0600) == 0, "a pipe");
    loads_with("a pipe");
    unlink(file_path());
    char other_name[4300];
    put_there("", 0);
    snprintf(other_name, sizeof other_name, "%s-too", file_path());
    ok(link(file_path(), other_name) == 0, "a second name");
    loads_with("a file with a second name");
    unlink(other_name);
    unlink(file_path());
    char inner[4200];
    snprintf(inner, sizeof inner, "%s/distorch2", folder);
    chmod(inner, 0777);
    loads_with("a folder that others may write to");
    struct stat st;
    ok(stat(file_path(), &st) < 0, "in which nothing is put");
    chmod(inner, 0700);
}

int main(void)
{
    snprintf(folder, sizeof folder, "%s", scratch("runtime"));
    if (mkdir(folder, 0700) < 0)
        return skip_all("no folder of its own");
    setenv("XDG_RUNTIME_DIR", folder, 1);
    struct dt2_error err;
    char *text;
    size_t size;
    struct layout layout = layout_read(data_path("layouts/tiny.tsv"), &text);
    char *header = layout_header(&layout, &size);
    if (dt2_file_open(scratch_file("model", header, size, layout.bytes), &file, &err) < 0 ||
        dt2_blocks_make(file, &blocks, &err) < 0 || dt2_context_create(NULL, &context, &err) < 0) {
        diag("%s", err.text);
        return 1;
    }
    test_who_sees_it();
    test_loads();
    test_garbage();
    dt2_context_destroy(context);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    free(header);
    free(layout.tensors);
    free(text);
    return done_testing();
}
