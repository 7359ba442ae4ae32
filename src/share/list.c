/* SPDX-License-Identifier: BSD-3-Clause */
/* What is shared, as <distorch2/shared.h> has it: nothing is locked for it, and nothing changed. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "share/place.h"
#include "share/room.h"
#include "share/segment.h"
#include <dirent.h>
#include <distorch2/shared.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dt2_shared_list {
    struct dt2_shared_memory **items;
    size_t count, capacity;
};

static void free_memory(struct dt2_shared_memory *memory)
{
    if (!memory)
        return;
    dt2_release((void *)(uintptr_t)memory->path);
    dt2_release((void *)(uintptr_t)memory->processes);
    dt2_release(memory);
}

/* What the segment says of itself, by the first user that lets us in. */
static void ask(const struct dt2_records *records, struct dt2_shared_memory *memory)
{
    struct dt2_segment_head head;
    int fd = -1;
    for (size_t i = 0; fd < 0 && i < records->count; i++) {
        const struct dt2_user *user = dt2_records_at(records, i);
        if (user)
            (void)dt2_room_open_user(user, records->head->identity, &fd);
    }
    if (fd < 0)
        return;
    memory->bytes = dt2_segment_held(fd);
    if (pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head) {
        memory->filler = atomic_load(&head.filler);
        memory->done_bytes = atomic_load(&head.done_bytes);
        memory->total_bytes = atomic_load(&head.total_bytes);
    }
    close(fd);
}

static int describe(const struct dt2_records *records, struct dt2_shared_list *list, struct dt2_error *err)
{
    size_t count = dt2_room_processes(records, NULL, 0);
    if (count == 0)
        return 0;
    struct dt2_shared_memory *made = dt2_alloc(1, sizeof *made);
    DT2_AUTO pid_t *pids = dt2_alloc(count, sizeof *pids);
    int64_t *processes = dt2_alloc(count, sizeof *processes);
    if (made)
        *made = (struct dt2_shared_memory){ .path = dt2_strdup(records->head->path), .bytes = DT2_UNKNOWN, .processes = processes };
    if (!made || !pids || !processes || !made->path || !DT2_GROW(list->items, list->count, list->capacity)) {
        if (!made)
            dt2_release(processes);
        free_memory(made);
        return dt2_fail_nomem(err);
    }
    made->process_count = dt2_min(dt2_room_processes(records, pids, count), count);
    for (size_t i = 0; i < made->process_count; i++)
        processes[i] = pids[i];
    ask(records, made);
    list->items[list->count++] = made;
    return 0;
}

/* One file of the folder. What is none of ours, or is just being made, is passed over. */
static int look(int folder, const char *name, struct dt2_shared_list *list, struct dt2_error *err)
{
    DT2_AUTO void *bytes = NULL;
    struct dt2_records records;
    if (strncmp(name, DT2_ROOM_PREFIX, strlen(DT2_ROOM_PREFIX)) != 0)
        return 0;
    int fd = dt2_place_file(folder, name, false, NULL);
    int rc = fd < 0 ? DT2_EFAILED : dt2_room_read(fd, &bytes, &records, NULL);
    if (fd >= 0)
        close(fd);
    return rc == 0 ? describe(&records, list, err) : 0;
}

static int by_path(const void *a, const void *b)
{
    const struct dt2_shared_memory *const *x = a, *const *y = b;
    int order = strcmp((*x)->path, (*y)->path);
    return order ? order : (*x)->bytes < (*y)->bytes ? 1 : (*x)->bytes > (*y)->bytes ? -1 : 0;
}

static int list_folder(int folder, struct dt2_shared_list *list, struct dt2_error *err)
{
    DIR *dir = fdopendir(folder);
    int rc = 0;
    if (!dir) {
        rc = dt2_fail(err, DT2_EFAILED, "the folder of what is shared cannot be listed: %s", strerror(errno));
        close(folder);
        return rc;
    }
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir));)
        rc = look(folder, entry->d_name, list, err);
    closedir(dir);
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, by_path);
    return rc;
}

int dt2_shared_list_make(struct dt2_shared_list **list, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    int folder = dt2_place_open(err);
    if (folder < 0)
        return DT2_EFAILED;
    struct dt2_shared_list *made = dt2_alloc(1, sizeof *made);
    if (!made) {
        close(folder);
        return dt2_fail_nomem(err);
    }
    int rc = list_folder(folder, made, err);
    if (rc < 0)
        dt2_shared_list_free(made);
    else
        *list = made;
    return rc;
}

void dt2_shared_list_free(struct dt2_shared_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        free_memory(list->items[i]);
    dt2_release(list->items);
    dt2_release(list);
}

size_t dt2_shared_list_count(const struct dt2_shared_list *list)
{
    return list->count;
}

const struct dt2_shared_memory *dt2_shared_list_get(const struct dt2_shared_list *list, size_t index)
{
    return index < list->count ? list->items[index] : NULL;
}
