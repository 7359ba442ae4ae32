/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include <dlfcn.h>
#include <link.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what the process holds */

bool dt2_gpu_is_copy_of(const char *path, const char *base)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0 || (name[length] != '.' && name[length] != '-'))
        return false;
    /* "-" begins what tools that bundle libraries add to a name: a hash */
    const char *extension = strchr(name + length, '.');
    return extension && strncmp(extension, ".so", 3) == 0 && (extension[3] == '\0' || extension[3] == '.');
}

struct held {
    const char *base;
    size_t skip; /* copies before the one that is looked for */
    char *path;
    size_t size;
};

static int look_at_object(struct dl_phdr_info *object, size_t size, void *data)
{
    struct held *held = data;
    (void)size;
    if (!object->dlpi_name || strlen(object->dlpi_name) >= held->size ||
        !dt2_gpu_is_copy_of(object->dlpi_name, held->base))
        return 0;
    if (held->skip-- > 0)
        return 0;
    strcpy(held->path, object->dlpi_name);
    return 1;
}

/* Which copy of a library the process holds: its path. */
static bool held_copy(const char *base, size_t number, char *path, size_t size)
{
    struct held held = { base, number, path, size };
    return dl_iterate_phdr(look_at_object, &held) == 1;
}

/* -- binding */

bool dt2_gpu_bind(void *library, const struct dt2_gpu_symbol *symbol)
{
    void *address = dlsym(library, symbol->name);
    if (address)
        memcpy(symbol->slot, &address, sizeof address); /* a function's address, as POSIX has it */
    return address != NULL;
}

static bool will_do(const struct dt2_gpu_search *search, void *library, char *why, size_t size)
{
    for (size_t i = 0; i < search->symbol_count; i++)
        if (!dt2_gpu_bind(library, &search->symbols[i])) {
            snprintf(why, size, "it lacks %s", search->symbols[i].name);
            return false;
        }
    for (size_t i = 0; i < search->optional_count; i++) {
        memset(search->optional[i].slot, 0, sizeof(void (*)(void))); /* of a library that would not do */
        (void)dt2_gpu_bind(library, &search->optional[i]);
    }
    return !search->accept || search->accept(search->data, why, size);
}

/*
 * dlopen, with its failure in English whatever the program around us speaks: is_missing() reads it. What was loaded
 * stays: vendors' runtimes start threads and leave exit handlers behind, some as soon as they are asked for their
 * version.
 */
static void *open_library(const char *name, int flags, char *failure, size_t size)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c_locale ? uselocale(c_locale) : (locale_t)0;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | flags);
    const char *text = library ? NULL : dlerror();
    snprintf(failure, size, "%s", text ? text : "");
    if (c_locale) {
        uselocale(old);
        freelocale(c_locale);
    }
    return library;
}

/* Whether it is the library itself that is not there, and not one that it needs. */
static bool is_missing(const char *name, const char *failure)
{
    return !*failure || (strncmp(failure, name, strlen(name)) == 0 && strstr(failure, "No such file or directory"));
}

/* The file of a library that was opened by whatever name. */
static const char *path_of(void *library, const char *name)
{
    struct link_map *map = NULL;
    return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map && map->l_name && *map->l_name ? map->l_name : name;
}

/* Binds one library. Of several that are there and will not do, the first tells why. */
static void *try(const struct dt2_gpu_search *search, const char *name, int flags, bool *present, char *text,
                 size_t size)
{
    char why[512];
    void *library = open_library(name, flags, why, sizeof why);
    if (!library) {
        if (!is_missing(name, why) && !*present) {
            *present = true;
            snprintf(text, size, "%s%s%s", strstr(why, name) ? "" : name, strstr(why, name) ? "" : ": ", why);
        }
        return NULL;
    }
    bool good = will_do(search, library, why, sizeof why);
    if (good)
        snprintf(text, size, "%s", path_of(library, name));
    else if (!*present)
        snprintf(text, size, "%s: %s", name, why);
    *present = true;
    if (good)
        return library;
    dlclose(library);
    return NULL;
}

/* The one that is named, which is there or to blame. */
static void *try_named(const struct dt2_gpu_search *search, char *text, size_t size)
{
    bool present = false;
    void *library = try(search, search->named, 0, &present, text, size);
    if (!library && !present)
        snprintf(text, size, "%s: there is no such file", search->named);
    return library;
}

static void list_sonames(const struct dt2_gpu_search *search, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, *search->sonames ? "%s was not found (tried " : "no %s is loaded",
                                     search->base);
    for (size_t i = 0; search->sonames[i] && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", search->sonames[i]);
    if (*search->sonames && length < size)
        snprintf(text + length, size - length, ")");
}

void *dt2_gpu_find_library(const struct dt2_gpu_search *search, bool *present, char *text, size_t size)
{
    char path[4096];
    bool seen = false;
    void *library = NULL;
    for (size_t i = 0; !library && held_copy(search->base, i, path, sizeof path); i++)
        library = try(search, path, RTLD_NOLOAD, &seen, text, size);
    if (!library && search->named) {
        library = try_named(search, text, size);
        seen = true;
    }
    bool done = seen;
    for (size_t i = 0; !library && !done && search->sonames[i]; i++)
        library = try(search, search->sonames[i], 0, &seen, text, size);
    if (!library && !seen)
        list_sonames(search, text, size);
    if (present)
        *present = seen;
    return library;
}

void dt2_gpu_close_library(void *library)
{
    if (library)
        dlclose(library);
}

/* -- the runtime */

/* What the program, or the environment, says of the runtime's file. */
struct naming {
    const char *path; /* NULL: nothing */
    const char *by;
    bool offered; /* it will not be missed */
};

static int find_naming(const struct dt2_gpu_driver *driver, struct naming *naming, struct dt2_backend_error *err)
{
    const struct dt2_backend_services *services = driver->services;
    bool asks = services->struct_size >= offsetof(struct dt2_backend_services, option) + sizeof services->option;
    const char *said = asks && services->option ? services->option(services->core, GPU_RUNTIME_OPTION) : NULL;
    *naming = (struct naming){ .by = "the context's option " GPU_RUNTIME_OPTION };
    if (!said) {
        said = secure_getenv(GPU_RUNTIME_VARIABLE);
        naming->by = GPU_RUNTIME_VARIABLE;
    }
    if (!said || !*said)
        return DT2_BACKEND_OK;
    naming->offered = *said == '?';
    naming->path = said + naming->offered;
    if (*naming->path == '/')
        return DT2_BACKEND_OK;
    return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_FAILED,
                          "the " GPU_RUNTIME_TEXT " runtime cannot be used: %s has '%s', and a file is named from the "
                          "root",
                          naming->by, said);
}

static int find_runtime(struct dt2_gpu_driver *driver, struct dt2_gpu_search *search, const struct naming *naming,
                        char *text, size_t size, struct dt2_backend_error *err)
{
    bool present;
    search->named = naming->path;
    driver->library = dt2_gpu_find_library(search, &present, text, size);
    if (!driver->library && naming->offered) {
        DT2_GPU_LOG(driver, DT2_GPU_WARNING, "the " GPU_RUNTIME_TEXT " runtime that %s offers cannot be used: %s",
                    naming->by, text);
        search->named = NULL;
        driver->library = dt2_gpu_find_library(search, &present, text, size);
    }
    if (driver->library)
        return DT2_BACKEND_OK;
    if (search->named)
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_FAILED,
                              "the " GPU_RUNTIME_TEXT " runtime that %s names cannot be used: %s", naming->by, text);
    if (!*search->sonames)
        return DT2_BACKEND_ABSENT;
    return DT2_GPU_REFUSE(driver, err, present ? DT2_BACKEND_FAILED : DT2_BACKEND_ABSENT,
                          "the " GPU_RUNTIME_TEXT " runtime %s: %s", present ? "cannot be used" : "is not installed",
                          text);
}

int dt2_gpu_bind_runtime(struct dt2_gpu_driver *driver, const struct dt2_gpu_search *how, char *text, size_t size,
                         struct dt2_backend_error *err)
{
    const struct dt2_gpu_symbol symbols[] = {
#define NAME_OF(symbol) #symbol
#define SYMBOL(member, cuda, hip) { GPU_PICK(NAME_OF(cuda), NAME_OF(hip)), &driver->runtime.member },
        DT2_GPU_RUNTIME_ENTRIES(SYMBOL)
    };
    const struct dt2_gpu_symbol optional[] = {
        DT2_GPU_RUNTIME_OPTIONAL_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    struct dt2_gpu_search search = *how;
    struct naming naming;
    search.symbols = symbols;
    search.symbol_count = sizeof symbols / sizeof *symbols;
    search.optional = optional;
    search.optional_count = sizeof optional / sizeof *optional;
    int status = find_naming(driver, &naming, err);
    return status == DT2_BACKEND_OK ? find_runtime(driver, &search, &naming, text, size, err) : status;
}
