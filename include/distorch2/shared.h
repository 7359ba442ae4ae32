/* SPDX-License-Identifier: BSD-3-Clause */
/* What processes of this user share: models of which the host shares are there once for all of them (DT2_SHARE_NODE). */
#ifndef DISTORCH2_SHARED_H
#define DISTORCH2_SHARED_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

/* The memory of one model. */
struct dt2_shared_memory {
    const char *path; /* of the model, as its first user gave it */
    uint64_t bytes;   /* that it takes now; DT2_UNKNOWN: no process that has it lets others look */
    const int64_t *processes; /* that use it */
    size_t process_count;
    int64_t filler;       /* the process that fills it just now, while others wait for it; 0: none */
    uint64_t done_bytes;  /* of which so much is there */
    uint64_t total_bytes;
};

struct dt2_shared_list; /* opaque: what there was when it was made */

/*
 * Lists what is shared, by whom; what no process uses any more is left out. Errors: DT2_EFAILED when the folder through which processes find one another
 * cannot be used: it is somebody else's, say.
 */
DT2_PUBLIC int dt2_shared_list_make(struct dt2_shared_list **list, struct dt2_error *err);
DT2_PUBLIC void dt2_shared_list_free(struct dt2_shared_list *list);
DT2_PUBLIC size_t dt2_shared_list_count(const struct dt2_shared_list *list);
/* NULL for a wrong index. */
DT2_PUBLIC const struct dt2_shared_memory *dt2_shared_list_get(const struct dt2_shared_list *list, size_t index);

DT2_END_DECLS
#endif
