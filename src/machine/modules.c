/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/modules.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <dirent.h>
#include <dlfcn.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A module's file, before it is opened. */
struct candidate {
    char name[32];
    char *path;
};

/* The table as the first version of the contract had it: what came later is looked for before it is read. */
#define FIRST_TABLE_BYTES (offsetof(struct dt2_backend, event_free) + sizeof(void *))

/* What one dt2_modules_open() carries about. */
struct search {
    const struct dt2_log *log;
    struct dt2_modules *modules;
    struct candidate *candidates;
    size_t count, capacity;
    size_t driver_capacity, library_capacity, missing_capacity;
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
    const char *const texts[] = { options->path, options->cuda_runtime, options->hip_runtime };
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
    return copy;
}

/* -- where modules are */

/* "dt2-NAME.so" -> "NAME"; false for any other file. */
static bool module_name(const char *file, char name[32])
{
    static const char prefix[] = "dt2-", suffix[] = ".so";
    size_t length = strlen(file), around = sizeof prefix - 1 + sizeof suffix - 1;
    if (length <= around || length - around >= 32 || strncmp(file, prefix, sizeof prefix - 1) != 0 ||
        strcmp(file + length - (sizeof suffix - 1), suffix) != 0)
        return false;
    snprintf(name, 32, "%.*s", (int)(length - around), file + sizeof prefix - 1);
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int add_candidate(struct search *search, const char *folder, const char *file)
{
    struct candidate found = { .path = NULL };
    if (!module_name(file, found.name))
        return DT2_OK;
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
        DT2_AUTO char *beside = dt2_printf("%s/distorch2", file);
        if (!beside || scan_folder(search, beside) < 0 || scan_folder(search, file) < 0)
            return DT2_ENOMEM;
    }
    return scan_folder(search, DT2_BACKEND_DIR);
}

/* cuda, hip, opencl, then the rest by name. */
static int by_rank(const void *a, const void *b)
{
    static const char *const order[] = { "cuda", "hip", "opencl" };
    const char *names[2] = { ((const struct candidate *)a)->name, ((const struct candidate *)b)->name };
    size_t ranks[2] = { 0, 0 };
    for (int i = 0; i < 2; i++)
        while (ranks[i] < DT2_COUNT(order) && strcmp(names[i], order[ranks[i]]) != 0)
            ranks[i]++;
    return ranks[0] != ranks[1] ? (ranks[0] < ranks[1] ? -1 : 1) : strcmp(names[0], names[1]);
}

/* -- one module */

/* Why a module is not used; cut where it is too long, between characters. */
struct reason {
    char text[512];
};

static void explain(struct reason *reason, const char *format, ...) DT2_PRINTF(2, 3);
static void explain(struct reason *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_format_into(reason->text, sizeof reason->text, format, args);
    va_end(args);
}

/*
 * Vendors' runtimes start threads and leave exit handlers behind, so what was loaded stays loaded (NODELETE). The text
 * of a failure is taken in the C locale, whatever the program around us speaks: missing_library() reads it.
 */
static void *load(const char *path, struct reason *reason)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c_locale ? uselocale(c_locale) : (locale_t)0;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *text = dlerror();
        explain(reason, "%s", text ? text : "cannot be loaded");
    }
    if (c_locale) {
        uselocale(old);
        freelocale(c_locale);
    }
    return library;
}

/* Whether dlopen failed for want of a library that the module needs, and not of the module itself. */
static bool missing_library(const char *path, const char *reason)
{
    return strstr(reason, "No such file or directory") && strncmp(reason, path, strlen(path)) != 0;
}

/* An entry of a driver's table. */
struct entry {
    const char *name;
    size_t offset;
};
#define ENTRY(name) { #name, offsetof(struct dt2_backend, name) }

static bool has(const struct dt2_backend *backend, const struct entry *entry)
{
    void (*function)(void);
    memcpy(&function, (const char *)backend + entry->offset, sizeof function);
    return function != NULL;
}

/* The name of the first entry that a table must have and has not, NULL when all are there. */
static const char *missing_entry(const struct dt2_backend *backend)
{
    static const struct entry required[] = {
        ENTRY(open),          ENTRY(close),        ENTRY(device_count),      ENTRY(device_info),
        ENTRY(device_open),   ENTRY(device_close), ENTRY(device_free_bytes), ENTRY(buffer_alloc),
        ENTRY(buffer_adopt),  ENTRY(buffer_free),  ENTRY(buffer_native),     ENTRY(queue_create),
        ENTRY(queue_adopt),   ENTRY(queue_wait),   ENTRY(queue_destroy),     ENTRY(queue_wait_event),
        ENTRY(copy_h2d),      ENTRY(copy_d2h),     ENTRY(copy_d2d),          ENTRY(event_record),
        ENTRY(event_query),   ENTRY(event_wait),   ENTRY(event_free),
    };
    /* Optional, but each with the one that undoes it. */
    static const struct entry pairs[][2] = {
        { ENTRY(buffer_map), ENTRY(buffer_unmap) },
        { ENTRY(host_alloc), ENTRY(host_free) },
        { ENTRY(host_register), ENTRY(host_unregister) },
    };
    for (size_t i = 0; i < DT2_COUNT(required); i++)
        if (!has(backend, &required[i]))
            return required[i].name;
    for (size_t i = 0; i < DT2_COUNT(pairs); i++)
        if (has(backend, &pairs[i][0]) != has(backend, &pairs[i][1]))
            return pairs[i][has(backend, &pairs[i][0])].name;
    return NULL;
}

/* The module's table, when it is one of ours in every respect. */
static const struct dt2_backend *backend_of(void *library, const char *name, struct reason *reason)
{
    void *symbol = dlsym(library, "dt2_backend_entry");
    if (!symbol) {
        explain(reason, "it does not export dt2_backend_entry");
        return NULL;
    }
    dt2_backend_entry_fn *entry = __extension__(dt2_backend_entry_fn *)symbol;
    const struct dt2_backend *backend = entry(DT2_BACKEND_ABI);
    const char *lacks = NULL;
    if (!backend)
        explain(reason, "it does not serve version %u of the driver contract", DT2_BACKEND_ABI);
    else if (backend->abi != DT2_BACKEND_ABI)
        explain(reason, "it serves version %u of the driver contract, not %u", backend->abi, DT2_BACKEND_ABI);
    else if (backend->struct_size < FIRST_TABLE_BYTES)
        explain(reason, "its table has %zu bytes, the first version had %zu", backend->struct_size, FIRST_TABLE_BYTES);
    else if (!backend->name || strcmp(backend->name, name) != 0)
        explain(reason, "it calls itself '%s', not '%s'", backend->name ? backend->name : "", name);
    else if ((lacks = missing_entry(backend)))
        explain(reason, "it lacks the entry %s", lacks);
    else
        return backend;
    return NULL;
}

/* Opens a driver and counts its devices: 0 or a negative dt2_backend_status with the reason. */
static int start(const struct dt2_backend *backend, struct dt2_services *services, struct dt2_driver *driver,
                 bool *nomem, struct reason *reason)
{
    struct dt2_backend_error failure = { .text = "" };
    *driver = (struct dt2_driver){ .name = backend->name, .backend = backend };
    int status = backend->open(dt2_services_table(services), &driver->self, &failure);
    if (status == DT2_BACKEND_OK) {
        status = backend->device_count(driver->self, &driver->device_count, &failure);
        if (status == DT2_BACKEND_OK && driver->device_count == 0) {
            status = DT2_BACKEND_ABSENT;
            snprintf(failure.text, sizeof failure.text, "no device");
        }
        if (status != DT2_BACKEND_OK)
            backend->close(driver->self);
    }
    if (status != DT2_BACKEND_OK)
        explain(reason, failure.vendor_name[0] ? "%s (%s)" : "%s", failure.text, failure.vendor_name);
    *nomem = status != DT2_BACKEND_OK && dt2_lacks_bookkeeping(&failure);
    return status;
}

void dt2_driver_describe(const struct dt2_driver *driver, char *text, size_t size)
{
    if (!DT2_BACKEND_HAS(driver->backend, describe) ||
        driver->backend->describe(driver->self, text, size, NULL) != DT2_BACKEND_OK)
        text[0] = '\0';
}

static int add_missing(struct search *search, const struct candidate *candidate, int status, const char *reason)
{
    struct dt2_modules *modules = search->modules;
    bool absent = status == DT2_BACKEND_ABSENT;
    dt2_log_line(search->log, absent ? DT2_LOG_DEBUG : DT2_LOG_WARNING, "driver %s (%s) is %s: %s", candidate->name,
                 candidate->path, absent ? "absent" : "not usable", reason);
    if (!DT2_GROW(modules->missing, modules->missing_count, search->missing_capacity))
        return DT2_ENOMEM;
    struct dt2_driver_missing *missing = &modules->missing[modules->missing_count++];
    *missing = (struct dt2_driver_missing){ .status = status };
    memcpy(missing->name, candidate->name, sizeof missing->name);
    snprintf(missing->reason, sizeof missing->reason, "%s", reason);
    return DT2_OK;
}

static int open_candidate(struct search *search, const struct candidate *candidate)
{
    struct dt2_modules *modules = search->modules;
    struct reason reason = { "" };
    bool nomem = false;
    if (!DT2_GROW(modules->drivers, modules->count, search->driver_capacity) ||
        !DT2_GROW(modules->libraries, modules->count, search->library_capacity))
        return DT2_ENOMEM;
    void *library = load(candidate->path, &reason);
    if (!library) {
        bool absent = missing_library(candidate->path, reason.text);
        return add_missing(search, candidate, absent ? DT2_BACKEND_ABSENT : DT2_BACKEND_FAILED, reason.text);
    }
    const struct dt2_backend *backend = backend_of(library, candidate->name, &reason);
    int status = backend ? start(backend, modules->services, &modules->drivers[modules->count], &nomem, &reason)
                         : DT2_BACKEND_FAILED;
    if (status != DT2_BACKEND_OK) {
        dlclose(library);
        if (nomem) /* a driver is not missing for good because memory was short for a moment */
            return DT2_ENOMEM;
        return add_missing(search, candidate, status, reason.text);
    }
    const struct dt2_driver *opened = &modules->drivers[modules->count];
    char about[512];
    dt2_driver_describe(opened, about, sizeof about);
    dt2_log_line(search->log, DT2_LOG_DEBUG, "driver %s (%s): %u devices%s%s", candidate->name, candidate->path,
                 opened->device_count, *about ? ", on " : "", about);
    modules->libraries[modules->count++] = library;
    return DT2_OK;
}

/* -- all of them */

int dt2_modules_open(const struct dt2_module_options *options, const struct dt2_log *log, struct dt2_modules *modules,
                     struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    *modules = (struct dt2_modules){ 0 };
    struct search search = { .log = log, .modules = modules };
    const char *path = options && options->path ? options->path : secure_getenv("DISTORCH2_BACKEND_PATH");
    int status = dt2_services_create(log, &modules->services, err);
    if (status == DT2_OK)
        dt2_services_tell(modules->services, options);
    if (status == DT2_OK)
        status = path ? scan_path(&search, path) : scan_default(&search);
    if (status == DT2_OK && search.count)
        qsort(search.candidates, search.count, sizeof *search.candidates, by_rank);
    for (size_t i = 0; status == DT2_OK && i < search.count; i++)
        status = open_candidate(&search, &search.candidates[i]);
    for (size_t i = 0; i < search.count; i++)
        dt2_release(search.candidates[i].path);
    dt2_release(search.candidates);
    if (status == DT2_OK)
        return DT2_OK;
    dt2_modules_close(modules);
    return dt2_fail_nomem(err);
}

void dt2_modules_close(struct dt2_modules *modules)
{
    DT2_KEEP_ERRNO;
    while (modules->count > 0) {
        struct dt2_driver *driver = &modules->drivers[--modules->count];
        driver->backend->close(driver->self);
        dlclose(modules->libraries[modules->count]);
    }
    dt2_release(modules->drivers);
    dt2_release(modules->libraries);
    dt2_release(modules->missing);
    dt2_services_destroy(modules->services);
    *modules = (struct dt2_modules){ 0 };
}
