/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver modules: found, opened, and given the services of the core. */
#ifndef DT2_MACHINE_MODULES_H
#define DT2_MACHINE_MODULES_H

#include "base/log.h"
#include <distorch2/backend.h>

/* What a context says of its drivers, with the meaning of dt2_context_options; NULL: not said. */
struct dt2_module_options {
    const char *path;
    const char *cuda_runtime;
    const char *hip_runtime;
    const char *drivers; /* those that may be opened, separated by ',' */
    bool isolated;       /* each is opened in a process of its own first */
};
/* A copy with its texts, in one piece for dt2_release(); NULL without memory. Of NULL: of nothing said. */
struct dt2_module_options *dt2_module_options_copy(const struct dt2_module_options *options);

/* A driver that is open. */
struct dt2_driver {
    const char *name; /* "host", "opencl", ... */
    const struct dt2_backend *backend;
    void *self; /* first argument of the backend's functions */
    uint32_t device_count;
};
/* What it works with, for people; empty where it does not tell. */
void dt2_driver_describe(const struct dt2_driver *driver, char *text, size_t size);
/* What of the vendor's cannot be used, and why, for people: from index 0 on; false beyond the last. */
bool dt2_driver_unusable(const struct dt2_driver *driver, uint32_t index, char *text, size_t size);

/* Whether a driver had no memory for its own bookkeeping: no want of a device's, which goes by the vendor's name. */
static inline bool dt2_lacks_bookkeeping(const struct dt2_backend_error *failure)
{
    return failure->status == DT2_BACKEND_NOMEM && !failure->vendor_name[0];
}

/* A driver that is not: why, in words (ABSENT, NO_DEVICE: what was not found; otherwise what is broken). */
struct dt2_driver_missing {
    char name[32];
    int status; /* enum dt2_backend_status */
    char reason[512];
};

struct dt2_candidate;

/* The modules that there are, and the drivers that are open. */
struct dt2_modules {
    struct dt2_driver *drivers; /* in the order cuda, hip, opencl, then any other by name: a place may change */
    size_t count;
    struct dt2_driver_missing *missing;
    size_t missing_count;
    struct dt2_services *services;
    void **libraries; /* of dlopen, one for each driver */
    struct dt2_candidate *candidates;
    size_t candidate_count;
    const struct dt2_module_options *options;
    const struct dt2_log *log;
    uint64_t start_ns; /* that opening drivers took, also those that are not there */
};

#define DT2_WANTED_MOST 8

/* Drivers that somebody needs. */
struct dt2_wanted {
    bool all;
    size_t count;
    char names[DT2_WANTED_MOST][32];
};
bool dt2_wanted_has(const struct dt2_wanted *wanted, const char *driver);
void dt2_wanted_driver(struct dt2_wanted *wanted, const char *driver);
/* The driver of a device's name in any spelling: none for host memory, all where the name does not tell. */
void dt2_wanted_device(struct dt2_wanted *wanted, const char *device);

/*
 * Finds every module "dt2-NAME.so" in the folders of the options' path (the options stay where they are while the
 * modules are there; NULL: the defaults), and opens none. The first folder that has a name wins. Those that the options,
 * or else DISTORCH2_DRIVERS, leave out are missing. Errors: DT2_ENOMEM only.
 */
int dt2_modules_find(const struct dt2_module_options *options, const struct dt2_log *log, struct dt2_modules *modules,
                     struct dt2_error *err);
/*
 * Opens those drivers that are wanted and were not tried yet; *opened says whether there are more than before: they may have
 * changed places then. A module that is absent (also: whose vendor library is missing, so that dlopen fails) or that finds no
 * device is silence; one that is broken is one warning in the log; both are listed in `missing`. Errors: DT2_ENOMEM only.
 */
int dt2_modules_need(struct dt2_modules *modules, const struct dt2_wanted *wanted, bool *opened, struct dt2_error *err);
/* Finds them and opens all. */
int dt2_modules_open(const struct dt2_module_options *options, const struct dt2_log *log, struct dt2_modules *modules,
                     struct dt2_error *err);
void dt2_modules_close(struct dt2_modules *modules);
/* Whether the driver is open. */
bool dt2_modules_have(const struct dt2_modules *modules, const char *driver);
/* What opening a driver took; 0 of the host's. */
uint64_t dt2_modules_start_ns(const struct dt2_modules *modules, const char *driver);
/* Suggests why a driver has not the device that was asked for, as far as that is known. */
void dt2_modules_explain(const struct dt2_modules *modules, const char *driver, struct dt2_error *err);

/*
 * The services that a driver gets (a log, errors, memory, the handle table), as modules and the core's own host driver use
 * them. dt2_services_live() counts handles that were not taken: what a test calls a leak.
 */
struct dt2_services;
int dt2_services_create(const struct dt2_log *log, struct dt2_services **services, struct dt2_error *err);
void dt2_services_destroy(struct dt2_services *services);
/* What the service `option` tells from now on; kept where it is. Before a driver has the services. */
void dt2_services_tell(struct dt2_services *services, const struct dt2_module_options *options);
const struct dt2_backend_services *dt2_services_table(struct dt2_services *services);
size_t dt2_services_live(struct dt2_services *services);

/* A driver's failure as one of the library's: NOMEM becomes DT2_ENOFIT, the rest DT2_EFAILED. "DEVICE: text (CL_NAME, -5)". */
int dt2_fail_driver(struct dt2_error *err, const char *device, const struct dt2_backend_error *failure);

#endif
