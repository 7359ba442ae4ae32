/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process holds of the system: descriptors, threads, mappings. */
#ifndef DT2_TESTS_HELD_H
#define DT2_TESTS_HELD_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* How many entries a folder has, such as /proc/self/fd or /proc/self/task. */
static inline long entries_of(const char *folder)
{
    DIR *dir = opendir(folder);
    long count = 0;
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* How many mappings have a word in their line; "": all. */
static inline int maps_of(const char *word)
{
    char line[8192];
    int count = 0;
    FILE *stream = fopen("/proc/self/maps", "r");
    while (stream && fgets(line, sizeof line, stream))
        count += strstr(line, word) != NULL;
    if (stream)
        fclose(stream);
    return count;
}

#endif
