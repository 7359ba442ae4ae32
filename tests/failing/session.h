/* SPDX-License-Identifier: BSD-3-Clause */
/* A session of which everything is tried while something fails once: what must be right of it in any case. */
#ifndef DT2_TESTS_FAILING_SESSION_H
#define DT2_TESTS_FAILING_SESSION_H

#include "work.h"

/*
 * The calling thread's device is made current, and a stream is made on it, for the kernels that read weights. On a
 * machine that is not simulated the host reads, and there is no stream. Once, for all sessions; the model stays
 * borrowed meanwhile.
 */
void session_readers_make(struct dt2_model *model);
void session_readers_free(void);

/*
 * Opens, passes, parks, takes back, passes and closes. Whatever fails is tried again at once, and must be good then.
 * Returns the code of the first failure, of which *err is; `again` gets what was wrong besides, or "".
 */
int session_use(struct dt2_model *model, const struct work_file *file, struct dt2_error *err, char *again, size_t size);

#endif
