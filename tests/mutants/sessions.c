/* SPDX-License-Identifier: BSD-3-Clause */
/* What the mutants of sessions do: passes; parked and closed while the last kernels are still at it. */
#include "mutants/passes.h"

static void run(struct dt2_model *model)
{
    enum { ROOM_FOR_ALL = 16 << 20, PINNED_PARTS = 12 };
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_error err;
    struct dt2_session *session = open_session(model, 0, 0);
    for (int i = 0; session && i < 4; i++)
        pass(session, i < 2);
    if (session) {
        dt2_session_info(session, &info, NULL);
        complain(dt2_session_park(session, &err), &err);
        complain(dt2_session_unpark(session, &err), &err);
        pass(session, true);
    }
    complain(dt2_session_close(session, &err), &err);
    session = open_session(model, ROOM_FOR_ALL, 0); /* no copy waits for the last readers */
    if (session)
        pass(session, true);
    complain(dt2_session_close(session, &err), &err);
    for (uint64_t share = 1; share < PINNED_PARTS; share++) { /* blocks that are pinned in part, in windows of all sizes */
        uint64_t bytes = dt2_model_statistics(model)->bytes;
        session = open_session(model, share % 3 ? info.window_bytes * share / PINNED_PARTS + info.largest_bytes : 0,
                               bytes * share / PINNED_PARTS / 4);
        for (int i = 0; session && i < 2; i++)
            pass(session, true);
        complain(dt2_session_close(session, &err), &err);
    }
}

int main(int argc, char **argv)
{
    return subject_main(argc, argv, run);
}
