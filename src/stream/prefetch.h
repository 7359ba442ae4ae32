/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the prefetch have of one another. In all of these the session's lock is held, unless it is said. */
#ifndef DT2_STREAM_PREFETCH_H
#define DT2_STREAM_PREFETCH_H

#include "stream/stream.h"

/* -- prefetch_place.c */

/* The session as the rule of the prefetch sees it. */
struct dt2_ahead dt2_prefetch_rule(struct dt2_session *session);
/* Gives a unit that is needed now a place over others. False: there is no room. */
bool dt2_prefetch_place(struct dt2_session *session, size_t index);
/* Gives a unit that is fetched ahead the place where it will arrive first. False: not now. */
bool dt2_prefetch_place_ahead(struct dt2_session *session, size_t index);
/* Copies from now on come after the readers of the parts before `end`. The thread may have let go of the lock. */
int dt2_prefetch_wait_for_readers(struct dt2_session *session, size_t end, struct dt2_error *err);
/* Blocks until a reader has run; when its event cannot tell, until all has that is queued on the caller's streams. */
void dt2_prefetch_finish_reader(struct dt2_session *session, dt2_handle *reader);
/* The readers of parts that nothing was copied to. */
void dt2_prefetch_finish_parts(struct dt2_session *session);
void dt2_prefetch_forget(struct dt2_session *session, struct dt2_unit *unit);
void dt2_prefetch_free_event(const struct dt2_session *session, dt2_handle *event);

/* -- prefetch.c */

/*
 * After a failure on the way to unit `index`, or, with DT2_NOWHERE, before all is begun anew: waits for what is on its way, and
 * drops all that was coming; for other units than the one that failed, who waits asks again. By the thread, or when there is none.
 */
void dt2_prefetch_abandon(struct dt2_session *session, size_t index, const struct dt2_error *failure);
/* The thread itself; `data` is the session, whose lock it takes. */
void *dt2_prefetch_run(void *data);

#endif
