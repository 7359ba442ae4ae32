/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/modules.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/module.h"
#include "machine/probe.h"
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_SECONDS 20 /* that opening a driver may take in a process of its own */

/* A module's file. */
struct dt2_candidate {
    char name[32];
    char *path;
    bool tried;
    uint64_t start_ns; /* that opening it took */
};

/* What the search for modules carries about. */
struct search {
    const struct dt2_log *log;
    struct dt2_candidate *candidates;
    size_t count, capacity;
};

/* -- options */

/* Text that goes on at *room, copied there; NULL stays NULL. */
static const char *copy_text(const char *text, char **room)
{
    if (!text)
        return NULL;
    char *copy = *room;
    *room = stpcpy(copy, text) + 1;
    return copy;
}

struct dt2_module_options *dt2_module_options_copy(const struct dt2_module_options *options)
{
    static const struct dt2_module_options nothing = { 0 };
    if (!options)
        options = &nothing;
    const char *const texts[] = { options->path, options->cuda_runtime, options->hip_runtime, options->drivers };
    size_t bytes = 0;
    for (size_t i = 0; i < DT2_COUNT(texts); i++)
        bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
    struct dt2_module_options *copy = dt2_alloc(sizeof *copy + bytes, 1);
    if (!copy)
        return NULL;
    char *room = (char *)(copy + 1);
    copy->path = copy_text(options->path, &room);
    copy->cuda_runtime = copy_text(options->cuda_runtime, &room);
    copy->hip_runtime = copy_text(options->hip_runtime, &room);
    copy->drivers = copy_text(options->drivers, &room);
    copy->isolated = options->isolated;
    return copy;
}

/* -- where modules are */

/* "dt2-NAME.so" -> "NAME"; false for any other file. Names have no capitals: *lower says whether that is so. */
static bool module_name(const char *file, char name[32], bool *lower)
{
    static const char prefix[] = "dt2-", suffix[] = ".so";
    size_t length = strlen(file), around = sizeof prefix - 1 + sizeof suffix - 1;
    if (length <= around || length - around >= 32 || strncmp(file, prefix, sizeof prefix - 1) != 0 ||
        strcmp(file + length - (sizeof suffix - 1), suffix) != 0)
        return false;
    snprintf(name, 32, "%.*s", (int)(length - around), file + sizeof prefix - 1);
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    *lower = name[strcspn(name, strchr(good, 'A'))] == '\0';
    return name[strspn(name, good)] == '\0';
}

static int add_candidate(struct search *search, const char *folder, const char *file)
{
    struct dt2_candidate found = { .path = NULL };
    bool lower;
    if (!module_name(file, found.name, &lower))
        return DT2_OK;
    if (!lower) {
        dt2_log_line(search->log, DT2_LOG_WARNING,
                     "driver module %s/%s is passed over: a driver's name has no capitals", folder, file);
        return DT2_OK;
    }
    for (size_t i = 0; i < search->count; i++)
        if (strcmp(search->candidates[i].name, found.name) == 0)
            return DT2_OK; /* an earlier folder has it */
    if (!DT2_GROW(search->candidates, search->count, search->capacity) ||
        !(found.path = dt2_printf("%s/%s", folder, file)))
        return DT2_ENOMEM;
    search->candidates[search->count++] = found;
    return DT2_OK;
}

static int scan_folder(struct search *search, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        if (errno == ENOMEM)
            return DT2_ENOMEM;
        dt2_log_line(search->log, errno == ENOENT || errno == ENOTDIR ? DT2_LOG_DEBUG : DT2_LOG_WARNING,
                     "folder of driver modules %s: %s", folder, strerror(errno));
        return DT2_OK;
    }
    int status = DT2_OK;
    for (struct dirent *entry; status == DT2_OK && (entry = readdir(dir));)
        status = add_candidate(search, folder, entry->d_name);
    closedir(dir);
    return status;
}

/* Every folder of a list, but none that depends on the working directory. */
static int scan_path(struct search *search, const char *path)
{
    if (!*path)
        return DT2_OK;
    for (const char *begin = path;; begin++) {
        size_t length = strcspn(begin, ":");
        DT2_AUTO char *folder = dt2_strndup(begin, length);
        if (!folder)
            return DT2_ENOMEM;
        if (folder[0] != '/')
            dt2_log_line(search->log, DT2_LOG_WARNING,
                         "driver modules are not looked for in '%s': a folder must be named from the root", folder);
        else if (scan_folder(search, folder) < 0)
            return DT2_ENOMEM;
        begin += length;
        if (!*begin)
            return DT2_OK;
    }
}

/*
 * The file that holds this code, by its absolute path; NULL when nobody can tell. The dynamic linker knows it by the
 * name under which it was found, which may be relative to a directory that was left since; the kernel's name never is.
 */
static char *own_file(void)
{
    Dl_info info;
    if (dladdr(__extension__(void *)own_file, &info) && info.dli_fname && info.dli_fname[0] == '/')
        return dt2_strdup(info.dli_fname);
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return NULL;
    char *line = NULL, *found = NULL;
    size_t size = 0;
    while (!found && getline(&line, &size, maps) > 0) {
        unsigned long long begin, end;
        char *file = strchr(line, '/');
        if (file && sscanf(line, "%llx-%llx", &begin, &end) == 2 && (uintptr_t)own_file >= begin &&
            (uintptr_t)own_file < end)
            found = dt2_strndup(file, strcspn(file, "\n"));
    }
    free(line); /* getline's own */
    fclose(maps);
    return found;
}

/* Beside the library, then where it was to be installed. */
static int scan_default(struct search *search)
{
    DT2_AUTO char *file = own_file();
    char *slash = file ? strrchr(file, '/') : NULL;
    if (slash) {
        *slash = '\0';
        DT2_AUTO char *beside = dt2_printf("%s/" DT2_BACKEND_BESIDE, file);
        if (!beside || scan_folder(search, beside) < 0 || scan_folder(search, file) < 0)
            return DT2_ENOMEM;
    }
    return scan_folder(search, DT2_BACKEND_DIR);
}

/* -- which are wanted */

bool dt2_wanted_has(const struct dt2_wanted *wanted, const char *driver)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (strcmp(wanted->names[i], driver) == 0)
            return true;
    return wanted->all;
}

void dt2_wanted_driver(struct dt2_wanted *wanted, const char *driver)
{
    if (dt2_wanted_has(wanted, driver))
        return;
    if (wanted->count == DT2_WANTED_MOST || strlen(driver) >= sizeof *wanted->names)
        wanted->all = true;
    else
        strcpy(wanted->names[wanted->count++], driver);
}

void dt2_wanted_device(struct dt2_wanted *wanted, const char *device)
{
    char driver[sizeof *wanted->names];
    size_t length = strcspn(device, ":");
    static const char *const host[] = { "cpu", "numa", "cgroup" };
    for (size_t i = 0; i < DT2_COUNT(host); i++)
        if (strlen(host[i]) == length && strncmp(device, host[i], length) == 0)
            return;
    snprintf(driver, sizeof driver, "%.*s", (int)(length < sizeof driver ? length : 0), device);
    if (strcmp(driver, "rocm") == 0)
        strcpy(driver, "hip");
    bool address = *driver >= '0' && *driver <= '9'; /* of PCI: no driver's name begins so */
    if (device[length] && !address && strcmp(driver, "pci") != 0 && strcmp(driver, "uuid") != 0 && *driver)
        dt2_wanted_driver(wanted, driver);
    else
        wanted->all = true; /* any driver may have it */
}

/* -- opening */

void dt2_driver_describe(const struct dt2_driver *driver, char *text, size_t size)
{
    if (!DT2_BACKEND_HAS(driver->backend, describe) ||
        driver->backend->describe(driver->self, text, size, NULL) != DT2_BACKEND_OK)
        text[0] = '\0';
}

bool dt2_driver_unusable(const struct dt2_driver *driver, uint32_t index, char *text, size_t size)
{
    return DT2_BACKEND_HAS(driver->backend, unusable) &&
           driver->backend->unusable(driver->self, index, text, size, NULL) == DT2_BACKEND_OK;
}

static void add_missing(struct dt2_modules *modules, const struct dt2_candidate *candidate, int status,
                        const char *reason)
{
    bool normal = status == DT2_BACKEND_ABSENT || status == DT2_BACKEND_NO_DEVICE;
    dt2_log_line(modules->log, normal ? DT2_LOG_DEBUG : DT2_LOG_WARNING, "driver %s (%s) is %s: %s", candidate->name,
                 candidate->path, normal ? "absent" : "not usable", reason);
    struct dt2_driver_missing *missing = &modules->missing[modules->missing_count++];
    *missing = (struct dt2_driver_missing){ .status = status };
    memcpy(missing->name, candidate->name, sizeof missing->name);
    snprintf(missing->reason, sizeof missing->reason, "%s", reason);
}

/* cuda, hip, opencl, then the rest by name. */
static int rank_order(const char *a, const char *b)
{
    static const char *const order[] = { "cuda", "hip", "opencl" };
    const char *names[2] = { a, b };
    size_t ranks[2] = { 0, 0 };
    for (int i = 0; i < 2; i++)
        while (ranks[i] < DT2_COUNT(order) && strcmp(names[i], order[ranks[i]]) != 0)
            ranks[i]++;
    return ranks[0] != ranks[1] ? (ranks[0] < ranks[1] ? -1 : 1) : strcmp(a, b);
}

static int by_rank(const void *a, const void *b)
{
    return rank_order(((const struct dt2_candidate *)a)->name, ((const struct dt2_candidate *)b)->name);
}

/* Takes an open driver in, where its rank is. There is room. */
static void add_driver(struct dt2_modules *modules, const struct dt2_driver *driver, void *library)
{
    size_t at = modules->count++;
    for (; at > 0 && rank_order(modules->drivers[at - 1].name, driver->name) > 0; at--) {
        modules->drivers[at] = modules->drivers[at - 1];
        modules->libraries[at] = modules->libraries[at - 1];
    }
    modules->drivers[at] = *driver;
    modules->libraries[at] = library;
}

/* What a probe tries, in a process of its own. */
struct trial {
    const struct dt2_candidate *candidate;
    struct dt2_services *services;
};

static void try_opening(void *data)
{
    const struct trial *trial = data;
    struct dt2_driver driver;
    struct dt2_reason reason;
    void *library;
    (void)dt2_module_open(trial->candidate->path, trial->candidate->name, trial->services, &driver, &library, &reason);
}

/* Whether opening a driver ends well, as far as that is asked for. What it ends with, a second opening tells. */
static bool is_safe(const struct dt2_modules *modules, const struct dt2_candidate *candidate, struct dt2_reason *reason)
{
    struct trial trial = { candidate, modules->services };
    char how[sizeof reason->text];
    if (!modules->options || !modules->options->isolated ||
        dt2_probe(try_opening, &trial, PROBE_SECONDS, how, sizeof how))
        return true;
    dt2_explain(reason, "opening it in a process of its own %s", how);
    return false;
}

static int open_candidate(struct dt2_modules *modules, struct dt2_candidate *candidate, bool *opened)
{
    struct dt2_driver driver;
    struct dt2_reason reason;
    char about[512];
    void *library;
    int status = DT2_BACKEND_FAILED;
    uint64_t begin = dt2_now_ns();
    if (is_safe(modules, candidate, &reason))
        status = dt2_module_open(candidate->path, candidate->name, modules->services, &driver, &library, &reason);
    candidate->start_ns = dt2_now_ns() - begin;
    modules->start_ns += candidate->start_ns;
    if (status == DT2_BACKEND_NOMEM) /* a driver is not missing for good because memory was short for a moment */
        return DT2_ENOMEM;
    candidate->tried = true;
    if (status != DT2_BACKEND_OK) {
        add_missing(modules, candidate, status, reason.text);
        return DT2_OK;
    }
    dt2_driver_describe(&driver, about, sizeof about);
    dt2_log_line(modules->log, DT2_LOG_DEBUG, "driver %s (%s): %u devices%s%s", candidate->name, candidate->path,
                 driver.device_count, *about ? ", on " : "", about);
    add_driver(modules, &driver, library);
    *opened = true;
    return DT2_OK;
}

int dt2_modules_need(struct dt2_modules *modules, const struct dt2_wanted *wanted, bool *opened, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    *opened = false;
    for (size_t i = 0; i < modules->candidate_count; i++) {
        struct dt2_candidate *candidate = &modules->candidates[i];
        if (!candidate->tried && dt2_wanted_has(wanted, candidate->name) &&
            open_candidate(modules, candidate, opened) < 0)
            return dt2_fail_nomem(err);
    }
    return DT2_OK;
}

bool dt2_modules_have(const struct dt2_modules *modules, const char *driver)
{
    for (size_t i = 0; i < modules->count; i++)
        if (strcmp(modules->drivers[i].name, driver) == 0)
            return true;
    return false;
}

uint64_t dt2_modules_start_ns(const struct dt2_modules *modules, const char *driver)
{
    for (size_t i = 0; i < modules->candidate_count; i++)
        if (strcmp(modules->candidates[i].name, driver) == 0)
            return modules->candidates[i].start_ns;
    return 0;
}

static void explain_open(const struct dt2_driver *driver, struct dt2_error *err)
{
    char text[512];
    struct dt2_text all = { 0 };
    for (uint32_t i = 0; dt2_driver_unusable(driver, i, text, sizeof text); i++)
        dt2_text_addf(&all, "%s%s", i ? "; " : "", text);
    if (all.data && !all.failed)
        dt2_suggest(err, "the driver %s cannot use all that is installed: %s", driver->name, all.data);
    dt2_text_clear(&all);
}

void dt2_modules_explain(const struct dt2_modules *modules, const char *driver, struct dt2_error *err)
{
    static const char *const ours[] = { "cuda", "hip", "opencl" };
    bool known = false;
    for (size_t i = 0; i < modules->missing_count; i++)
        if (strcmp(modules->missing[i].name, driver) == 0)
            dt2_suggest(err, "the driver %s has no device: %s", driver, modules->missing[i].reason);
    for (size_t i = 0; i < modules->count; i++)
        if (strcmp(modules->drivers[i].name, driver) == 0)
            explain_open(&modules->drivers[i], err);
    for (size_t i = 0; i < modules->candidate_count; i++)
        known |= strcmp(modules->candidates[i].name, driver) == 0;
    for (size_t i = 0; i < DT2_COUNT(ours) && !known; i++)
        if (strcmp(ours[i], driver) == 0)
            dt2_suggest(err, "there is no driver module for it: dt2-%s.so is not installed", driver);
}

/* -- finding */

/* Whether a list such as "cuda,opencl" names a driver. */
static bool is_listed(const char *list, const char *driver)
{
    size_t wanted = strlen(driver);
    for (const char *at = list; *at; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        if (length == wanted && strncmp(at, driver, length) == 0)
            return true;
        at += length;
    }
    return false;
}

/* What a list names and nobody has is said once. */
static void warn_unknown(const struct dt2_modules *modules, const char *list)
{
    for (const char *at = list + strspn(list, ", "); *at; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        bool known = length == 4 && strncmp(at, "host", 4) == 0;
        for (size_t i = 0; i < modules->candidate_count; i++)
            known |= strlen(modules->candidates[i].name) == length &&
                     strncmp(modules->candidates[i].name, at, length) == 0;
        if (!known)
            dt2_log_line(modules->log, DT2_LOG_WARNING, "among the drivers that may be used (DISTORCH2_DRIVERS): there is no module '%.*s'",
                         (int)length, at);
        at += length;
    }
}

/* Drivers that the list leaves out count as tried. */
static void narrow(struct dt2_modules *modules, const char *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < modules->candidate_count; i++) {
        struct dt2_candidate *candidate = &modules->candidates[i];
        struct dt2_reason reason;
        if (is_listed(list, candidate->name))
            continue;
        dt2_explain(&reason, "it is not among the drivers that may be used, '%s' (DISTORCH2_DRIVERS)", list);
        candidate->tried = true;
        add_missing(modules, candidate, DT2_BACKEND_ABSENT, reason.text);
    }
    warn_unknown(modules, list);
}

static int find(const struct dt2_module_options *options, struct dt2_modules *modules)
{
    struct search search = { .log = modules->log };
    const char *path = options && options->path ? options->path : secure_getenv("DISTORCH2_BACKEND_PATH");
    int status = path ? scan_path(&search, path) : scan_default(&search);
    modules->candidates = search.candidates;
    modules->candidate_count = search.count;
    if (status < 0 || search.count == 0)
        return status;
    qsort(search.candidates, search.count, sizeof *search.candidates, by_rank);
    modules->drivers = dt2_alloc(search.count, sizeof *modules->drivers);
    modules->libraries = dt2_alloc(search.count, sizeof *modules->libraries);
    modules->missing = dt2_alloc(search.count, sizeof *modules->missing);
    return modules->drivers && modules->libraries && modules->missing ? DT2_OK : DT2_ENOMEM;
}

int dt2_modules_find(const struct dt2_module_options *options, const struct dt2_log *log, struct dt2_modules *modules,
                     struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    *modules = (struct dt2_modules){ .log = log, .options = options };
    int status = dt2_services_create(log, &modules->services, err);
    if (status == DT2_OK)
        dt2_services_tell(modules->services, options);
    if (status == DT2_OK)
        status = find(options, modules);
    if (status < 0) {
        dt2_modules_close(modules);
        return dt2_fail_nomem(err);
    }
    narrow(modules, options && options->drivers ? options->drivers : secure_getenv("DISTORCH2_DRIVERS"));
    return DT2_OK;
}

int dt2_modules_open(const struct dt2_module_options *options, const struct dt2_log *log, struct dt2_modules *modules,
                     struct dt2_error *err)
{
    bool opened;
    int rc = dt2_modules_find(options, log, modules, err);
    if (rc == 0)
        rc = dt2_modules_need(modules, &(struct dt2_wanted){ .all = true }, &opened, err);
    if (rc < 0)
        dt2_modules_close(modules);
    return rc;
}

void dt2_modules_close(struct dt2_modules *modules)
{
    DT2_KEEP_ERRNO;
    while (modules->count > 0) {
        struct dt2_driver *driver = &modules->drivers[--modules->count];
        driver->backend->close(driver->self);
        dlclose(modules->libraries[modules->count]);
    }
    for (size_t i = 0; i < modules->candidate_count; i++)
        dt2_release(modules->candidates[i].path);
    dt2_release(modules->candidates);
    dt2_release(modules->drivers);
    dt2_release(modules->libraries);
    dt2_release(modules->missing);
    dt2_services_destroy(modules->services);
    *modules = (struct dt2_modules){ 0 };
}
