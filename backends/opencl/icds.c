/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which drivers are installed, and why one of them is of no use: the ICD loader passes over what it cannot load in silence.
 * It finds them in files NAME.icd of one folder, whose first line is the file of a library.
 */
#include "opencl.h"
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "/etc/OpenCL/vendors"
#define ICDS_MOST 64  /* files that are looked at */
#define LINE_MOST 512 /* characters of a library's name */

/* The library that an ICD file names; false when its first line is no name. */
static bool read_icd(const char *path, char line[LINE_MOST])
{
    FILE *file = fopen(path, "re");
    bool got = file && fgets(line, LINE_MOST, file);
    if (file)
        fclose(file);
    if (!got)
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    for (const char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7F)
            return false;
    return *line != '\0';
}

/* What the ICD loader, too, looks for in a driver. */
static bool is_driver(void *library)
{
    return dlsym(library, "clGetExtensionFunctionAddress") || dlsym(library, "clIcdGetPlatformIDsKHR");
}

/* A driver that works is in the process by now; of another the linker tells why it is not. `where`: what names it. */
static void look_at_library(struct dt2_cl_driver *driver, const char *where, const char *library)
{
    char why[512] = "";
    void *held = dlopen(library, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    void *opened = held ? held : dt2_cl_open_library(library, RTLD_LAZY, why, sizeof why);
    if (!opened)
        dt2_cl_complain(driver, "%s names %s, which cannot be loaded: %s", where, library, why);
    else if (!is_driver(opened))
        dt2_cl_complain(driver, "%s names %s, which is no OpenCL driver", where, library);
    else if (!held)
        dt2_cl_complain(driver, "%s names %s, which shows no platform", where, library);
    if (opened)
        dlclose(opened);
}

static void look_at_icd(struct dt2_cl_driver *driver, const char *path)
{
    char line[LINE_MOST];
    if (read_icd(path, line))
        look_at_library(driver, path, line);
    else
        dt2_cl_complain(driver, "%s does not begin with the name of a library", path);
}

static bool is_icd(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".icd") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void look_at_folder(struct dt2_cl_driver *driver, const char *folder)
{
    char *paths[ICDS_MOST];
    size_t count = 0;
    DIR *stream = opendir(folder);
    if (!stream) {
        dt2_cl_complain(driver, "the folder %s, whose files name the drivers, cannot be read: %s", folder, strerror(errno));
        return;
    }
    for (const struct dirent *entry; count < ICDS_MOST && (entry = readdir(stream));) {
        size_t size = strlen(folder) + strlen(entry->d_name) + 2;
        if (!is_icd(entry->d_name) || !(paths[count] = dt2_cl_alloc(driver, size)))
            continue;
        snprintf(paths[count++], size, "%s/%s", folder, entry->d_name);
    }
    closedir(stream);
    if (count == 0)
        dt2_cl_complain(driver, "there is no file NAME.icd in %s: no OpenCL driver is installed", folder);
    else
        qsort(paths, count, sizeof *paths, by_name);
    for (size_t i = 0; i < count; i++) {
        look_at_icd(driver, paths[i]);
        dt2_cl_release(driver, paths[i]);
    }
}

void dt2_cl_look_at_icds(struct dt2_cl_driver *driver)
{
    static const char *const variables[] = { "OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH" };
    const char *where = FOLDER, *variable = NULL;
    struct stat st;
    if (!dt2_cl_loads_icds())
        return;
    for (size_t i = 0; !variable && i < sizeof variables / sizeof *variables; i++)
        if ((variable = secure_getenv(variables[i])))
            where = variable;
    bool folder = stat(where, &st) < 0 || S_ISDIR(st.st_mode);
    if (folder && !(variable && is_icd(where)))
        look_at_folder(driver, where);
    else if (is_icd(where))
        look_at_icd(driver, where);
    else
        look_at_library(driver, "the environment", where);
}
