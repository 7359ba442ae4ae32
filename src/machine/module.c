/* SPDX-License-Identifier: BSD-3-Clause */
/* One driver module: loaded, looked over, and opened. */
#include "machine/module.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include <dlfcn.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

/* The table as the first version of the contract had it: what came later is looked for before it is read. */
#define FIRST_TABLE_BYTES (offsetof(struct dt2_backend, event_free) + sizeof(void *))

void dt2_explain(struct dt2_reason *reason, const char *format, ...)
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
static void *load(const char *path, struct dt2_reason *reason)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c_locale ? uselocale(c_locale) : (locale_t)0;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *text = dlerror();
        dt2_explain(reason, "%s", text ? text : "cannot be loaded");
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
static const struct dt2_backend *backend_of(void *library, const char *name, struct dt2_reason *reason)
{
    void *symbol = dlsym(library, "dt2_backend_entry");
    if (!symbol) {
        dt2_explain(reason, "it does not export dt2_backend_entry");
        return NULL;
    }
    dt2_backend_entry_fn *entry = __extension__(dt2_backend_entry_fn *)symbol;
    const struct dt2_backend *backend = entry(DT2_BACKEND_ABI);
    const char *lacks = NULL;
    if (!backend)
        dt2_explain(reason, "it does not serve version %u of the driver contract", DT2_BACKEND_ABI);
    else if (backend->abi != DT2_BACKEND_ABI)
        dt2_explain(reason, "it serves version %u of the driver contract, not %u", backend->abi, DT2_BACKEND_ABI);
    else if (backend->struct_size < FIRST_TABLE_BYTES)
        dt2_explain(reason, "its table has %zu bytes, the first version had %zu", backend->struct_size, FIRST_TABLE_BYTES);
    else if (!backend->name || strcmp(backend->name, name) != 0)
        dt2_explain(reason, "it calls itself '%s', not '%s'", backend->name ? backend->name : "", name);
    else if ((lacks = missing_entry(backend)))
        dt2_explain(reason, "it lacks the entry %s", lacks);
    else
        return backend;
    return NULL;
}

/* Opens a driver and counts its devices: 0 or a negative dt2_backend_status with the reason. */
static int start(const struct dt2_backend *backend, struct dt2_services *services, struct dt2_driver *driver,
                 bool *nomem, struct dt2_reason *reason)
{
    struct dt2_backend_error failure = { .text = "" };
    *driver = (struct dt2_driver){ .name = backend->name, .backend = backend };
    int status = backend->open(dt2_services_table(services), &driver->self, &failure);
    if (status == DT2_BACKEND_OK) {
        status = backend->device_count(driver->self, &driver->device_count, &failure);
        if (status == DT2_BACKEND_OK && driver->device_count == 0) {
            status = DT2_BACKEND_NO_DEVICE;
            snprintf(failure.text, sizeof failure.text, "no device");
        }
        if (status != DT2_BACKEND_OK)
            backend->close(driver->self);
    }
    if (status != DT2_BACKEND_OK)
        dt2_explain(reason, failure.vendor_name[0] ? "%s (%s)" : "%s", failure.text, failure.vendor_name);
    *nomem = status != DT2_BACKEND_OK && dt2_lacks_bookkeeping(&failure);
    return status;
}

int dt2_module_open(const char *path, const char *name, struct dt2_services *services, struct dt2_driver *driver,
                    void **library, struct dt2_reason *reason)
{
    bool nomem = false;
    *reason = (struct dt2_reason){ "" };
    void *opened = load(path, reason);
    if (!opened)
        return missing_library(path, reason->text) ? DT2_BACKEND_ABSENT : DT2_BACKEND_FAILED;
    const struct dt2_backend *backend = backend_of(opened, name, reason);
    int status = backend ? start(backend, services, driver, &nomem, reason) : DT2_BACKEND_FAILED;
    if (status == DT2_BACKEND_OK) {
        *library = opened;
        return status;
    }
    dlclose(opened);
    return nomem ? DT2_BACKEND_NOMEM : status == DT2_BACKEND_NOMEM ? DT2_BACKEND_FAILED : status;
}
