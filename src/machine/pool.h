/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is given back all at once: the text and small arrays of a snapshot. */
#ifndef DT2_MACHINE_POOL_H
#define DT2_MACHINE_POOL_H

#include <stddef.h>

struct dt2_pool;

struct dt2_pool *dt2_pool_create(void);
void dt2_pool_destroy(struct dt2_pool *pool); /* NULL is fine */
/* Zeroed memory, aligned for any object; NULL without memory. */
void *dt2_pool_alloc(struct dt2_pool *pool, size_t count, size_t size);
/* A text of a device, a driver or a saved machine, as it may be shown: base/shown.h. NULL stays NULL. False without memory. */
_Bool dt2_pool_text(struct dt2_pool *pool, const char *text, const char **copy);

#endif
