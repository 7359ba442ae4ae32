/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog/path.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *dt2_path_join(const char *a, const char *b)
{
    size_t length = strlen(a);
    if (b[0] == '/')
        return dt2_strdup(b);
    return dt2_printf("%s%s%s", a, length == 0 || a[length - 1] == '/' ? "" : "/", b);
}

/* Takes the last component off `out`; false when there is none that ".." could undo. */
static bool go_up(char *out, size_t *length, size_t root)
{
    size_t start = *length;
    while (start > root && out[start - 1] != '/')
        start--;
    if (start == *length || (*length - start == 2 && memcmp(out + start, "..", 2) == 0))
        return false;
    *length = start > root ? start - 1 : root;
    return true;
}

char *dt2_path_normal(const char *path)
{
    char *out = dt2_alloc(strlen(path) + 2, 1);
    if (!out)
        return NULL;
    size_t slashes = strspn(path, "/"), root = slashes == 2 ? 2 : slashes > 0;
    memset(out, '/', root);
    size_t length = root;
    for (const char *c = path + slashes; *c; c += strspn(c, "/")) {
        size_t n = strcspn(c, "/");
        bool dot = n == 1 && c[0] == '.', dots = n == 2 && c[0] == '.' && c[1] == '.';
        if (!dot && !(dots && (go_up(out, &length, root) || root))) {
            if (length > root)
                out[length++] = '/';
            memcpy(out + length, c, n);
            length += n;
        }
        c += n;
    }
    if (length == 0)
        out[length++] = '.';
    out[length] = '\0';
    return out;
}

int dt2_path_absolute(const char *path, char **absolute, struct dt2_error *err)
{
    DT2_AUTO char *joined = NULL;
    if (path[0] == '/') {
        joined = dt2_strdup(path);
    } else {
        char here[PATH_MAX], shown[DT2_SHOWN_PATH];
        if (!getcwd(here, sizeof here))
            return dt2_fail(err, DT2_EFAILED, "%s: relative to a working directory that cannot be told: %s",
                            dt2_show(path, shown, sizeof shown), strerror(errno));
        joined = dt2_path_join(here, path);
    }
    char *normal = joined ? dt2_path_normal(joined) : NULL;
    if (!normal)
        return dt2_fail_nomem(err);
    *absolute = normal;
    return 0;
}

char *dt2_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    size_t root = strspn(path, "/");
    return dt2_strndup(path, length < root ? root : length);
}

/*
 * The home directory of `name` (of the user who runs us when it is empty): *home stays NULL when there is none. False
 * without memory.
 */
static bool find_home(const char *name, char **home)
{
    const char *set = name[0] ? NULL : getenv("HOME");
    if (set)
        return (*home = dt2_strdup(set));
    struct passwd entry, *found = NULL;
    size_t size = 1024;
    for (;; size *= 2) {
        DT2_AUTO char *buffer = dt2_alloc(size, 1);
        if (!buffer)
            return false;
        int rc = name[0] ? getpwnam_r(name, &entry, buffer, size, &found)
                         : getpwuid_r(getuid(), &entry, buffer, size, &found);
        if (rc == ERANGE && size < 1 << 20)
            continue;
        return rc != 0 || !found || (*home = dt2_strdup(entry.pw_dir));
    }
}

char *dt2_path_expand_home(const char *path)
{
    if (path[0] != '~')
        return dt2_strdup(path);
    const char *rest = path + strcspn(path, "/");
    DT2_AUTO char *name = dt2_strndup(path + 1, (size_t)(rest - path) - 1);
    DT2_AUTO char *home = NULL;
    if (!name || !find_home(name, &home))
        return NULL;
    if (!home)
        return dt2_strdup(path);
    size_t length = strlen(home);
    while (length > 0 && home[length - 1] == '/')
        length--;
    home[length] = '\0';
    return length == 0 && rest[0] == '\0' ? dt2_strdup("/") : dt2_printf("%s%s", home, rest);
}

/* How long the variable at `text` is, which begins with '$'; 0 when it is none. `name` receives its name. */
static size_t variable_at(const char *text, const char **name, size_t *name_length)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    if (text[1] == '{') {
        *name = text + 2;
        *name_length = strcspn(*name, "}");
        return (*name)[*name_length] ? *name_length + 3 : 0;
    }
    *name = text + 1;
    *name_length = strspn(*name, word);
    return *name_length ? *name_length + 1 : 0;
}

/* Adds a variable's value, or what is written when it is not set. No name holds '=', though getenv() might find one. */
static void add_value(struct dt2_text *out, const char *name, size_t name_length, const char *written, size_t length)
{
    DT2_AUTO char *copy = dt2_strndup(name, name_length);
    const char *value = copy && !strchr(copy, '=') ? getenv(copy) : NULL;
    out->failed |= !copy;
    if (value)
        dt2_text_add(out, value, strlen(value));
    else
        dt2_text_add(out, written, length);
}

char *dt2_path_expand_variables(const char *path)
{
    struct dt2_text out = { 0 };
    while (*path) {
        size_t plain = strcspn(path, "$");
        dt2_text_add(&out, path, plain);
        path += plain;
        if (!*path)
            break;
        const char *name = NULL;
        size_t name_length = 0;
        size_t length = variable_at(path, &name, &name_length);
        if (length)
            add_value(&out, name, name_length, path, length);
        else
            dt2_text_add(&out, path, 1); /* a '$' by itself */
        path += length ? length : 1;
    }
    return dt2_text_take(&out);
}
