/* SPDX-License-Identifier: BSD-3-Clause */
/* What a session tells of itself. */
#include "base/error.h"
#include "base/sized.h"
#include "model/model.h"
#include "stream/stream.h"
#include <stdarg.h>

static const struct dt2_sized sized_stats =
    DT2_SIZED(struct dt2_session_stats, window_bytes, "the statistics'", "DT2_SESSION_STATS_INIT");
static const struct dt2_sized sized_info =
    DT2_SIZED(struct dt2_session_info, parked, "the session's info:", "DT2_SESSION_INFO_INIT");

struct dt2_session_stats dt2_session_since(const struct dt2_session_stats *now, const struct dt2_session_stats *begin)
{
    return (struct dt2_session_stats){ .passes = now->passes - begin->passes,
                                       .bytes = now->bytes - begin->bytes,
                                       .acquires = now->acquires - begin->acquires,
                                       .hits = now->hits - begin->hits,
                                       .stalls = now->stalls - begin->stalls,
                                       .stall_ns = now->stall_ns - begin->stall_ns,
                                       .window_bytes = now->window_bytes };
}

int dt2_session_statistics(struct dt2_session *session, enum dt2_session_span span, struct dt2_session_stats *stats,
                           struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_session_stats found;
    if (dt2_fork_check(session->model->generation, "session", err) < 0 || dt2_result_check(&sized_stats, stats, err) < 0)
        return DT2_EUSAGE;
    if (span != DT2_SESSION_TOTAL && span != DT2_SESSION_THIS_PASS && span != DT2_SESSION_LAST_PASS)
        return dt2_fail(err, DT2_EUSAGE, "%d is no span of a session: it is no enum dt2_session_span", (int)span);
    pthread_mutex_lock(&session->lock);
    found = span == DT2_SESSION_TOTAL       ? session->total
            : span == DT2_SESSION_THIS_PASS ? dt2_session_since(&session->total, &session->begin)
                                            : session->last;
    pthread_mutex_unlock(&session->lock);
    dt2_result_write(&sized_stats, &found, stats);
    return 0;
}

int dt2_session_info(struct dt2_session *session, struct dt2_session_info *info, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(session->model->generation, "session", err) < 0 || dt2_result_check(&sized_info, info, err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&session->lock);
    const struct dt2_session_info found = {
        .compute_device = dt2_plan_compute_device(session->model->plan),
        .pass_bytes = session->units.pass_bytes,
        .largest_bytes = session->units.largest,
        .window_bytes = session->parked || !session->units.streaming ? 0 : dt2_window_bytes(&session->places),
        .staging_bytes = session->staging_bytes,
        .pinned_bytes = dt2_session_pinned(session),
        .streamed_blocks = session->units.blocks,
        .parked = session->parked,
    };
    pthread_mutex_unlock(&session->lock);
    dt2_result_write(&sized_info, &found, info);
    return 0;
}

int dt2_session_say(struct dt2_session *session, struct dt2_error *err, const char *format, ...)
{
    char words[1024];
    va_list args;
    va_start(args, format);
    dt2_format_into(words, sizeof words, format, args);
    va_end(args);
    pthread_mutex_lock(&session->lock);
    int rc = dt2_warnings_add(&session->warnings, err, "%s", words);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/* The lock is the session's own business, also where it is only looked at. */
static pthread_mutex_t *lock_of(const struct dt2_session *session)
{
    return &((struct dt2_session *)(uintptr_t)session)->lock;
}

size_t dt2_session_warning_count(const struct dt2_session *session)
{
    if (dt2_fork_check(session->model->generation, "session", NULL) < 0)
        return 0;
    pthread_mutex_lock(lock_of(session));
    size_t count = session->warnings.count;
    pthread_mutex_unlock(lock_of(session));
    return count;
}

const char *dt2_session_warning(const struct dt2_session *session, size_t index)
{
    if (dt2_fork_check(session->model->generation, "session", NULL) < 0)
        return NULL;
    pthread_mutex_lock(lock_of(session));
    const char *warning = index < session->warnings.count ? session->warnings.items[index] : NULL;
    pthread_mutex_unlock(lock_of(session));
    return warning;
}
