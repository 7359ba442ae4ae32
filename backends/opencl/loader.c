/* SPDX-License-Identifier: BSD-3-Clause */
/* The ICD loader, and what is called in it. */
#include "opencl.h"
#include <dlfcn.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dt2_cl_entries dt2_cl;

static pthread_mutex_t binding = PTHREAD_MUTEX_INITIALIZER;
static bool bound; /* under the mutex; for good, since the loader stays in the process with the drivers that it loads */
static void *(*find_extension)(const char *name); /* as `bound`; NULL where the library has none */

void *dt2_cl_open_library(const char *name, int flags, char *failure, size_t size)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c_locale ? uselocale(c_locale) : (locale_t)0;
    void *library = dlopen(name, flags | RTLD_LOCAL);
    const char *text = library ? NULL : dlerror();
    snprintf(failure, size, "%s", text ? text : "");
    if (c_locale) {
        uselocale(old);
        freelocale(c_locale);
    }
    return library;
}

/* Binds all functions, or none and names the one that is missing. */
static const char *bind_all(void *library)
{
#define ENTRY(entry) { #entry, offsetof(struct dt2_cl_entries, entry##_) },
    static const struct {
        const char *name;
        size_t offset;
    } entries[] = { DT2_CL_ENTRIES(ENTRY) };
    struct dt2_cl_entries found;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (!symbol)
            return entries[i].name;
        memcpy((char *)&found + entries[i].offset, &symbol, sizeof symbol);
    }
    dt2_cl = found;
    return NULL;
}

static int load(const struct dt2_backend_services *services, struct dt2_backend_error *err)
{
    char why[512];
    const char *named = secure_getenv("DISTORCH2_OPENCL");
    const char *name = named && *named ? named : "libOpenCL.so.1";
    void *library = dt2_cl_open_library(name, RTLD_NOW | RTLD_NODELETE, why, sizeof why);
    if (!library)
        return services->fail(services->core, err, DT2_BACKEND_ABSENT, 0, "",
                              "there is no OpenCL ICD loader that can be loaded (ocl-icd-libopencl1 on Debian): %s",
                              why);
    const char *missing = bind_all(library);
    void *symbol = dlsym(library, "clGetExtensionFunctionAddress");
    memcpy(&find_extension, &symbol, sizeof symbol);
    if (!missing)
        return DT2_BACKEND_OK;
    dlclose(library);
    return services->fail(services->core, err, DT2_BACKEND_FAILED, 0, "",
                          "the OpenCL ICD loader %s has no %s: it is older than OpenCL 1.2", name, missing);
}

int dt2_cl_bind(const struct dt2_backend_services *services, struct dt2_backend_error *err)
{
    pthread_mutex_lock(&binding);
    int status = bound ? DT2_BACKEND_OK : load(services, err);
    bound = status == DT2_BACKEND_OK;
    pthread_mutex_unlock(&binding);
    return status;
}

bool dt2_cl_loads_icds(void)
{
    return find_extension && find_extension("clGetICDLoaderInfoOCLICD"); /* loaders have it, and nobody else */
}
