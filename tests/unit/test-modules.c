/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and opening modules, with the fakes that fake-module.c makes. */
#include "base/alloc.h"
#include "base/error.h"
#include "machine/modules.h"
#include "support/tap.h"
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char lines[64][512]; /* of the log, without debug */
static size_t line_count;

static void keep_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_INFO && line_count < 64)
        snprintf(lines[line_count++], sizeof *lines, "%d %s", level, line);
}

static const struct dt2_log log_all = { keep_line, NULL };

static size_t lines_with(const char *words)
{
    size_t n = 0;
    for (size_t i = 0; i < line_count; i++)
        n += strstr(lines[i], words) != NULL;
    return n;
}

static bool open_path(const char *path, struct dt2_modules *modules)
{
    const struct dt2_module_options options = { .path = path };
    struct dt2_error err;
    line_count = 0;
    return ok(dt2_modules_open(&options, &log_all, modules, &err) == DT2_OK, "modules of %s",
              !path ? "the default" : *path == '/' ? "a folder" : *path ? path : "nothing");
}

static const struct dt2_driver_missing *missing(const struct dt2_modules *modules, const char *name)
{
    for (size_t i = 0; i < modules->missing_count; i++)
        if (strcmp(modules->missing[i].name, name) == 0)
            return &modules->missing[i];
    return NULL;
}

static void test_verdicts(const char *folder)
{
    static const struct {
        const char *name;
        int status;
        const char *reason;
    } cases[] = {
        { "absent", DT2_BACKEND_ABSENT, "no fake hardware" },
        { "empty", DT2_BACKEND_NO_DEVICE, "no device" },
        { "needs", DT2_BACKEND_ABSENT, "cannot open shared object file" },
        { "broken", DT2_BACKEND_FAILED, "the runtime is too old (fakeErrorOldDriver)" },
        { "uncounted", DT2_BACKEND_FAILED, "cannot count" },
        { "abi", DT2_BACKEND_FAILED, "version 2 of the driver contract, not 1" },
        { "refuses", DT2_BACKEND_FAILED, "does not serve version 1" },
        { "nosymbol", DT2_BACKEND_FAILED, "does not export dt2_backend_entry" },
        { "short", DT2_BACKEND_FAILED, "its table has" },
        { "lacks", DT2_BACKEND_FAILED, "lacks the entry copy_d2d" },
        { "half", DT2_BACKEND_FAILED, "lacks the entry host_free" },
        { "misnamed", DT2_BACKEND_FAILED, "calls itself 'another', not 'misnamed'" },
    };
    struct dt2_modules modules;
    if (!open_path(folder, &modules))
        return;
    is_u64(modules.count, 3, "three drivers are good");
    static const char *const order[] = { "cuda", "opencl", "aaa" };
    for (size_t i = 0; i < modules.count && i < 3; i++) {
        is_str(modules.drivers[i].name, order[i], "driver %zu", i);
        is_u64(modules.drivers[i].device_count, 2, "its devices are counted");
        ok(modules.drivers[i].backend && modules.drivers[i].self, "it is open");
    }
    size_t count = sizeof cases / sizeof *cases, warnings = 0;
    is_u64(modules.missing_count, count, "all others are missing");
    for (size_t i = 0; i < count; i++) {
        const struct dt2_driver_missing *found = missing(&modules, cases[i].name);
        char file[64];
        snprintf(file, sizeof file, "/dt2-%s.so", cases[i].name);
        ok(found && found->status == cases[i].status, "%s has its status", cases[i].name);
        if (!ok(found && strstr(found->reason, cases[i].reason), "%s: %s", cases[i].name, cases[i].reason) && found)
            diag("got: %s", found->reason);
        bool absent = cases[i].status == DT2_BACKEND_ABSENT || cases[i].status == DT2_BACKEND_NO_DEVICE;
        is_u64(lines_with(file), !absent, "%s is %s", cases[i].name, absent ? "silence" : "one warning");
        warnings += !absent;
    }
    is_u64(lines_with("closes"), 2, "a driver that opens and then has no device, or cannot tell, is closed");
    is_u64(line_count, warnings + 2, "nothing else is said");
    line_count = 0;
    dt2_modules_close(&modules);
    is_u64(lines_with("closes"), 3, "each driver is closed");
    ok(modules.count == 0 && !modules.drivers && !modules.services, "nothing is left");
}

/* A folder of our own with a file that is no module, and links to some that are. */
static void fill_folder(const char *folder, const char *modules, const char *const *names, const char *junk)
{
    mkdir(folder, 0777);
    for (; *names; names++) {
        char *target = dt2_printf("%s/dt2-%s.so", modules, *names), *link = dt2_printf("%s/dt2-%s.so", folder, *names);
        ok(symlink(target, link) == 0 || errno == EEXIST, "a link to %s", *names);
        dt2_release(target);
        dt2_release(link);
    }
    if (!junk)
        return;
    char *path = dt2_printf("%s/%s", folder, junk);
    FILE *file = fopen(path, "w");
    fputs("this is no shared object\n", file);
    fclose(file);
    dt2_release(path);
}

static void empty_folder(const char *folder)
{
    char *command = dt2_printf("rm -rf '%s'", folder);
    ok(system(command) == 0, "a folder is removed");
    dt2_release(command);
}

static void test_order_of_folders(const char *folder, const char *scratch)
{
    static const char *const none[] = { NULL }, *const some[] = { "cuda", NULL };
    struct dt2_modules modules;
    char *first = dt2_printf("%s/first", scratch), *second = dt2_printf("%s/second", scratch);
    fill_folder(first, folder, none, "dt2-cuda.so");
    fill_folder(second, folder, some, "dt2-Bad Name.so");
    char *path = dt2_printf("%s:%s/nowhere:%s", first, scratch, second);
    if (open_path(path, &modules)) {
        is_u64(modules.count, 0, "the first folder that has a name wins");
        ok(missing(&modules, "cuda") && missing(&modules, "cuda")->status == DT2_BACKEND_FAILED, "though it is junk");
        is_u64(modules.missing_count, 1, "files of other names are no modules");
        is_u64(line_count, 1, "one warning");
        char capital[PATH_MAX];
        snprintf(capital, sizeof capital, "%s/dt2-OpenCL.so", second);
        is_int(symlink("nowhere", capital), 0, "a module whose name has capitals");
        dt2_modules_close(&modules);
        open_path(path, &modules);
        is_u64(lines_with("dt2-OpenCL.so is passed over"), 1, "is passed over with a warning");
        dt2_modules_close(&modules);
    }
    dt2_release(path);
    path = dt2_printf("%s:%s", second, first);
    if (open_path(path, &modules)) {
        is_u64(modules.count, 1, "in the other order it is good");
        dt2_modules_close(&modules);
    }
    dt2_release(path);
    dt2_release(first);
    dt2_release(second);
}

static void test_working_directory(const char *folder)
{
    static const struct {
        const char *path;
        size_t warnings;
    } cases[] = { { "", 0 }, { ":", 2 }, { ".", 1 }, { "./", 1 }, { "../modules", 1 }, { "modules::.libs", 3 } };
    struct dt2_modules modules;
    char before[PATH_MAX];
    if (!ok(getcwd(before, sizeof before) && chdir(folder) == 0, "in the folder of modules"))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!open_path(cases[i].path, &modules))
            continue;
        is_u64(modules.count + modules.missing_count, 0, "'%s' finds none", cases[i].path);
        is_u64(line_count, cases[i].warnings, "and says so");
        dt2_modules_close(&modules);
    }
    unsetenv("DISTORCH2_BACKEND_PATH");
    if (open_path(NULL, &modules)) {
        is_u64(modules.count + modules.missing_count, 0, "the default is not the working directory");
        dt2_modules_close(&modules);
    }
    setenv("DISTORCH2_BACKEND_PATH", "", 1);
    if (open_path(NULL, &modules)) {
        is_u64(modules.count + modules.missing_count + line_count, 0, "an empty variable: none");
        dt2_modules_close(&modules);
    }
    setenv("DISTORCH2_BACKEND_PATH", folder, 1);
    if (open_path(NULL, &modules)) {
        is_u64(modules.count, 3, "the variable names the folder");
        dt2_modules_close(&modules);
    }
    if (open_path("", &modules)) {
        is_u64(modules.count, 0, "what the caller says goes before the variable");
        dt2_modules_close(&modules);
    }
    unsetenv("DISTORCH2_BACKEND_PATH");
    ok(chdir(before) == 0, "back");
}

/* The code under test is linked into this program, so "beside the library" is beside the program. */
static void test_beside_the_library(const char *folder)
{
    static const char *const names[] = { "opencl", NULL };
    struct dt2_modules modules;
    char file[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
    if (!ok(length > 0, "this program is found"))
        return;
    file[length] = '\0';
    *strrchr(file, '/') = '\0';
    char *parent = dt2_printf("%s/distorch2", file), *beside = dt2_printf("%s/" DT2_BACKEND_BESIDE, file);
    mkdir(parent, 0777);
    fill_folder(beside, folder, names, NULL);
    ok(chdir("/") == 0, "somewhere else");
    if (open_path(NULL, &modules)) {
        is_u64(modules.count, 1, "a module in the folder beside the library is found");
        dt2_modules_close(&modules);
    }
    empty_folder(parent);
    dt2_release(parent);
    dt2_release(beside);
}

/* Only what is wanted is opened; what was left out is missing, and said why. */
static void test_on_demand(const char *folder)
{
    const struct dt2_module_options all = { .path = folder }, narrowed = { .path = folder, .drivers = "opencl, zorro" };
    struct dt2_wanted wanted = { .all = false };
    struct dt2_modules modules;
    struct dt2_error err;
    bool opened;
    line_count = 0;
    is_int(dt2_modules_find(&all, &log_all, &modules, &err), 0, "modules are found");
    ok(modules.count == 0 && modules.missing_count == 0 && line_count == 0, "and none is opened");
    is_int(dt2_modules_need(&modules, &wanted, &opened, &err), 0, "none is needed");
    ok(!opened && modules.count == 0, "so none is opened");
    dt2_wanted_device(&wanted, "opencl:1");
    is_int(dt2_modules_need(&modules, &wanted, &opened, &err), 0, "one is needed");
    ok(opened && modules.count == 1 && strcmp(modules.drivers[0].name, "opencl") == 0, "so one is opened");
    dt2_wanted_device(&wanted, "cuda:0");
    is_int(dt2_modules_need(&modules, &wanted, &opened, &err), 0, "one more");
    ok(modules.count == 2 && strcmp(modules.drivers[0].name, "cuda") == 0, "which stands before the other");
    is_int(dt2_modules_need(&modules, &wanted, &opened, &err), 0, "nothing new");
    ok(!opened && modules.count == 2 && modules.missing_count == 0, "is opened twice");
    dt2_modules_close(&modules);
    is_u64(lines_with("closes"), 2, "both are closed");

    line_count = 0;
    if (ok(dt2_modules_open(&narrowed, &log_all, &modules, &err) == 0, "narrowed to two, of which one is unknown")) {
        is_u64(modules.count, 1, "one is open");
        const struct dt2_driver_missing *cuda = missing(&modules, "cuda");
        ok(cuda && cuda->status == DT2_BACKEND_ABSENT && strstr(cuda->reason, "DISTORCH2_DRIVERS"), "the others are missing: %s",
           cuda ? cuda->reason : "");
        is_u64(line_count, 1, "the unknown name is one warning: %s", lines[0]);
        dt2_modules_close(&modules);
    }
    setenv("DISTORCH2_DRIVERS", "", 1);
    if (open_path(folder, &modules)) {
        is_u64(modules.count, 0, "an empty variable: none");
        dt2_modules_close(&modules);
    }
    unsetenv("DISTORCH2_DRIVERS");
}

static void test_wanted(void)
{
    static const struct {
        const char *device, *driver; /* NULL: none; "": any */
    } cases[] = {
        { "cpu", NULL },       { "cpu:1", NULL },     { "numa:0", NULL },        { "cgroup", NULL },
        { "cuda:0", "cuda" },  { "rocm:1", "hip" },   { "opencl:10", "opencl" }, { "aaa:0", "aaa" },
        { "pci:0:1:0.0", "" }, { "uuid:GPU-12", "" }, { "gpu", "" },             { "", "" },
        { ":0", "" },          { "a-driver-whose-name-is-longer-than-any:0", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dt2_wanted wanted = { .all = false };
        dt2_wanted_device(&wanted, cases[i].device);
        const char *driver = cases[i].driver;
        ok(wanted.all == (driver && !*driver) && wanted.count == (driver && *driver), "'%s' needs %s", cases[i].device,
           !driver ? "none" : *driver ? driver : "all");
        if (driver && *driver)
            is_str(wanted.names[0], driver, "that one");
    }
}

/* A runtime that ends the process ends the one in which it is tried. */
static void test_isolated(const char *harmful)
{
    const struct dt2_module_options options = { .path = harmful, .isolated = true };
    struct dt2_modules modules;
    struct dt2_error err;
    line_count = 0;
    if (!ok(dt2_modules_open(&options, &log_all, &modules, &err) == 0, "drivers that end the process are tried apart"))
        return;
    is_u64(modules.count, 0, "none is used");
    const struct dt2_driver_missing *aborts = missing(&modules, "aborts"), *exits = missing(&modules, "exits");
    ok(aborts && aborts->status == DT2_BACKEND_FAILED && strstr(aborts->reason, "signal 6") &&
           strstr(aborts->reason, "registered more than once"),
       "the one that aborts: %s", aborts ? aborts->reason : "");
    ok(exits && strstr(exits->reason, "status 0"), "the one that exits: %s", exits ? exits->reason : "");
    is_u64(line_count, 2, "each is one warning");
    dt2_modules_close(&modules);
}

int main(void)
{
    const char *build = getenv("top_builddir");
    char scratch[] = "/tmp/dt2-modules-XXXXXX";
    char *relative = dt2_printf("%s/tests/unit/modules/.libs", build ? build : ".");
    char *folder = realpath(relative, NULL);
    dt2_release(relative);
    if (!folder || !mkdtemp(scratch))
        return skip_all("the folder of fake modules is not built");
    errno = 4242;
    test_verdicts(folder);
    is_int(errno, 4242, "errno stays");
    test_order_of_folders(folder, scratch);
    test_working_directory(folder);
    test_beside_the_library(folder);
    test_on_demand(folder);
    test_wanted();
    char *harmful = dt2_printf("%s/../../harmful/.libs", folder);
    test_isolated(harmful);
    dt2_release(harmful);
    empty_folder(scratch);
    free(folder);
    return done_testing();
}
