/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/cgroup.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (4 << 20)
/* Version 1 has no word for "unlimited", only the largest number of pages. */
#define UNLIMITED ((uint64_t)1 << 60)

/* What differs between the two versions. */
struct version {
    const char *type; /* of the file system */
    const char *limit, *usage, *active_file, *inactive_file;
    const char *throttle; /* above this the kernel slows the group down until it has given memory back; NULL: none */
    const char *hierarchy; /* "0" in this file: the group's limit does not hold for those below; NULL: it always does */
};
static const struct version versions[] = {
    { "cgroup2", "memory.max", "memory.current", "active_file", "inactive_file", "memory.high", NULL },
    { "cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file",
      NULL, "memory.use_hierarchy" },
};

/* The next line of a text that is cut up as it is read; NULL at its end. */
static char *next_line(char **rest)
{
    char *line = strsep(rest, "\n");
    return line && *line ? line : NULL;
}

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static char *read_whole(const char *root, const char *path, const char *file)
{
    DT2_AUTO char *whole = dt2_printf("%s%s%s", root, path, file);
    char *text;
    size_t length;
    return whole && dt2_read_file(whole, FILE_LIMIT, &text, &length, NULL) == 0 ? text : NULL;
}

/* This process's group, as /proc/self/cgroup has it: "5:cpu,memory:/path", or "0::/path" for version 2. */
static char *group_of(const char *root, const struct version *version)
{
    DT2_AUTO char *text = read_whole(root, "/proc/self/cgroup", "");
    char *rest = text;
    for (char *line; (line = next_line(&rest));) {
        strsep(&line, ":");
        char *controllers = line ? strsep(&line, ":") : NULL;
        if (line && (version->hierarchy ? has_word(controllers, "memory") : *controllers == '\0'))
            return dt2_strdup(line);
    }
    return NULL;
}

/* Spaces and the like stand in /proc/self/mountinfo as \040. */
static void decode_octal(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        unsigned code = 0;
        int digits = 0;
        if (*in == '\\')
            while (digits < 3 && in[1 + digits] >= '0' && in[1 + digits] <= '7')
                code = code * 8 + (unsigned)(in[1 + digits++] - '0');
        *out++ = digits == 3 ? (char)code : *in;
        in += digits == 3 ? 4 : 1;
    }
    *out = '\0';
}

/* One line of /proc/self/mountinfo, cut up: "ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS". */
struct mount {
    char *root;  /* the folder of the file system that is mounted */
    char *point; /* where */
};

static bool parse_mount(char *line, const struct version *version, struct mount *mount)
{
    char *fields[6], *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    tail += 3;
    for (size_t i = 0; i < DT2_COUNT(fields); i++)
        fields[i] = strsep(&line, " ");
    const char *type = strsep(&tail, " ");
    strsep(&tail, " ");
    if (!fields[4] || !tail || strcmp(type, version->type) != 0 || (version->hierarchy && !has_word(tail, "memory")))
        return false;
    *mount = (struct mount){ fields[3], fields[4] };
    decode_octal(mount->root);
    decode_octal(mount->point);
    return true;
}

/*
 * The part of `group` below a mount of `mounted`; NULL when it is not below. A container sees its own group as "/",
 * or, without a namespace of its own, as the host's path, of which the mount shows only the end.
 */
static const char *below(const char *group, const char *mounted)
{
    size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    if (strncmp(group, mounted, length) != 0 || strstr(group, "/.."))
        return NULL;
    const char *rest = group + length;
    if (*rest && *rest != '/')
        return NULL;
    return strcmp(rest, "/") == 0 ? "" : rest;
}

/*
 * The folder of the group, to be released, and how much of its path is the mount point. Of several mounts the one that
 * shows most of the tree counts; where none shows the group, the mount point itself stands for it.
 */
static char *folder_of(const char *root, const struct version *version, const char *group, size_t *point_length)
{
    DT2_AUTO char *text = read_whole(root, "/proc/self/mountinfo", "");
    char *rest = text, *line;
    struct mount mount, best = { 0 };
    const char *best_tail = NULL;
    while ((line = next_line(&rest))) {
        if (!parse_mount(line, version, &mount))
            continue;
        const char *tail = below(group, mount.root);
        if (!best.point || (tail && (!best_tail || strlen(tail) > strlen(best_tail)))) {
            best = mount;
            best_tail = tail;
        }
    }
    if (!best.point)
        return NULL;
    *point_length = strlen(best.point);
    return dt2_printf("%s%s", best.point, best_tail ? best_tail : "");
}

static bool read_number(const char *root, const char *folder, const char *file, uint64_t *number)
{
    DT2_AUTO char *name = dt2_printf("/%s", file);
    DT2_AUTO char *text = name ? read_whole(root, folder, name) : NULL;
    if (!text || *text < '0' || *text > '9')
        return false;
    char *end;
    *number = strtoull(text, &end, 10);
    return *end == '\n' || *end == '\0';
}

/* The number after "KEY " in a group's memory.stat; 0 when it has none. */
static uint64_t statistic(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, length) == 0 && at[length] == ' ')
            return strtoull(at + length + 1, NULL, 10);
    }
    return 0;
}

/* The lower of what a group may have and what it may have at full speed; false when neither is limited. */
static bool read_bytes(const char *root, const struct version *version, const char *folder, uint64_t *bytes)
{
    uint64_t throttled;
    bool limited = read_number(root, folder, version->limit, bytes) && *bytes < UNLIMITED;
    if (!version->throttle || !read_number(root, folder, version->throttle, &throttled))
        return limited;
    *bytes = limited ? dt2_min(*bytes, throttled) : throttled;
    return true;
}

/* One group's limit; false when it has none. */
static bool read_limit(const char *root, const struct version *version, const char *folder, struct dt2_memory *limit)
{
    uint64_t bytes, usage;
    if (!read_bytes(root, version, folder, &bytes) || !read_number(root, folder, version->usage, &usage))
        return false;
    DT2_AUTO char *text = read_whole(root, folder, "/memory.stat");
    uint64_t cache = statistic(text, version->active_file) + statistic(text, version->inactive_file);
    *limit = (struct dt2_memory){ bytes, dt2_sub_floor(bytes, dt2_sub_floor(usage, cache)) };
    return true;
}

/* Whether a group's limit holds for the groups below it. */
static bool holds_below(const char *root, const struct version *version, const char *folder)
{
    uint64_t hierarchy;
    return !version->hierarchy || !read_number(root, folder, version->hierarchy, &hierarchy) || hierarchy != 0;
}

static void climb(const char *root, const struct version *version, char *folder, size_t point_length, bool *found,
                  struct dt2_memory *tightest)
{
    for (bool own = true;; own = false) {
        struct dt2_memory limit;
        if (!own && !holds_below(root, version, folder))
            return;
        if (read_limit(root, version, folder, &limit) && (!*found || limit.free_bytes < tightest->free_bytes)) {
            *tightest = limit;
            *found = true;
        }
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < point_length)
            return;
        *slash = '\0';
    }
}

bool dt2_cgroup_memory(const char *root, struct dt2_memory *limit)
{
    bool found = false;
    for (size_t i = 0; i < DT2_COUNT(versions); i++) {
        size_t point_length;
        DT2_AUTO char *group = group_of(root, &versions[i]);
        DT2_AUTO char *folder = group ? folder_of(root, &versions[i], group, &point_length) : NULL;
        if (folder)
            climb(root, &versions[i], folder, point_length, &found, limit);
    }
    return found;
}
