/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls of the library's own objects that may fail: the linker leads them here (--wrap), where they are counted
 * and, on demand, refused. What hwloc, libyaml and the drivers' runtimes call for themselves does not pass by.
 */
#ifndef DT2_TESTS_WRAP_H
#define DT2_TESTS_WRAP_H

#include <stdbool.h>
#include <stddef.h>

enum wrap_kind { WRAP_ALLOCATION, WRAP_READ, WRAP_MAP, WRAP_THREAD, WRAP_OPEN, WRAP_KIND_COUNT };

/* The nth call of a kind from now on fails; 0: none does. Counting begins anew. */
void wrap_arm(enum wrap_kind kind, long nth);
/* Ends it; true when a call was refused. */
bool wrap_disarm(enum wrap_kind kind);
/* Calls of a kind since it was armed last. */
long wrap_calls(enum wrap_kind kind);

/* Memory that is counted, and never refused, for what cannot bear it. */
void *wrap_spared_malloc(size_t size);

/* What is held now. */
long wrap_allocations(void);
long wrap_mapped_bytes(void);

#endif
