/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include <dlfcn.h>
#include <link.h>
#include <locale.h>
#include <stdio.h>
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

/* Binds one library. Of several that are there and will not do, the first tells why. */
static void *try(const struct dt2_gpu_search *search, const char *name, int flags, bool *present, char *text,
                 size_t size)
{
    char why[512];
    void *library = open_library(name, flags, why, sizeof why);
    if (!library) {
        if (!is_missing(name, why) && !*present) {
            *present = true;
            snprintf(text, size, "%s", why);
        }
        return NULL;
    }
    bool good = will_do(search, library, why, sizeof why);
    if (good)
        snprintf(text, size, "%s", name);
    else if (!*present)
        snprintf(text, size, "%s: %s", name, why);
    *present = true;
    if (good)
        return library;
    dlclose(library);
    return NULL;
}

static void list_sonames(const struct dt2_gpu_search *search, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "%s was not found (tried ", search->base);
    for (size_t i = 0; search->sonames[i] && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", search->sonames[i]);
    if (length < size)
        snprintf(text + length, size - length, ")");
}

void *dt2_gpu_find_library(const struct dt2_gpu_search *search, bool *present, char *text, size_t size)
{
    char path[4096];
    bool seen = false;
    void *library = NULL;
    for (size_t i = 0; !library && held_copy(search->base, i, path, sizeof path); i++)
        library = try(search, path, RTLD_NOLOAD, &seen, text, size);
    bool held = seen;
    for (size_t i = 0; !library && !held && search->sonames[i]; i++)
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

void *dt2_gpu_find_runtime(struct dt2_gpu_driver *driver, const char *base, const char *const *sonames,
                           bool (*accept)(void *data, char *why, size_t size), bool *present, char *text, size_t size)
{
    const struct dt2_gpu_symbol symbols[] = {
#define NAME_OF(symbol) #symbol
#define SYMBOL(member, cuda, hip) { GPU_PICK(NAME_OF(cuda), NAME_OF(hip)), &driver->runtime.member },
        DT2_GPU_RUNTIME_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    const struct dt2_gpu_search search = { base, sonames, symbols, sizeof symbols / sizeof *symbols, accept, driver };
    return dt2_gpu_find_library(&search, present, text, size);
}
