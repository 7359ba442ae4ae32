/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"
#include "mixed/runtime.h"
#include "support/tap.h"

static struct runtime runtime;
static void *stream;

void session_readers_make(struct dt2_model *model)
{
    if (!getenv("DISTORCH2_SIM"))
        return;
    runtime_open(&runtime, model);
    stream = runtime_stream(&runtime);
}

void session_readers_free(void)
{
    if (stream)
        runtime_stream_free(&runtime, stream);
    stream = NULL;
}

/* What is told of one session. */
struct account {
    struct dt2_model *model;
    const struct work_file *file;
    struct dt2_session *session;
    int rc; /* of the first failure */
    struct dt2_error *err;
    char *again;
    size_t size;
};

/* Takes note of a failure. */
static void failed(struct account *account, int rc, const struct dt2_error *err)
{
    if (rc < 0 && account->rc == 0) {
        account->rc = rc;
        *account->err = *err;
    }
}

static void must_be_good(struct account *account, int rc, const char *what, const struct dt2_error *err)
{
    if (rc < 0 && !account->again[0])
        snprintf(account->again, account->size, "%s a second time: %s", what, err->text);
}

/* The sum is the simulator's to compare, which reports what is wrong. */
static void read_block(struct account *account, size_t index)
{
    const struct dt2_block *block = dt2_model_block(account->model, index);
    for (size_t i = 0; i < block->tensor_count; i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(account->model, block->tensors[i]);
        const unsigned char *bytes = account->file->bytes + tensor->offset;
        struct dt2_native native = DT2_NATIVE_INIT;
        struct dt2_error err;
        int rc = dt2_session_native(account->session, block->tensors[i], &native, &err);
        failed(account, rc, &err);
        if (rc < 0)
            must_be_good(account, dt2_session_native(account->session, block->tensors[i], &native, &err), "native",
                         &err);
        if (native.handle && stream)
            runtime_launch(&runtime, stream, &native, tensor->bytes, runtime.sum(bytes, tensor->bytes), 0);
        else if (native.handle && memcmp(native.handle, bytes, tensor->bytes) != 0)
            snprintf(account->again, account->size, "%s is wrong", tensor->name);
    }
}

static void pass(struct account *account)
{
    struct dt2_error err;
    for (size_t i = 0; i < dt2_model_block_count(account->model); i++) {
        unsigned flags = i % 5 ? 0 : DT2_ACQUIRE_HOST;
        int rc = dt2_session_acquire(account->session, i, flags, &err);
        failed(account, rc, &err);
        if (rc < 0) {
            rc = dt2_session_acquire(account->session, i, flags, &err);
            must_be_good(account, rc, "acquire", &err);
        }
        if (rc < 0)
            continue;
        read_block(account, i);
        failed(account, dt2_session_release(account->session, i, &err), &err); /* done all the same */
    }
}

/*
 * All that is resident leaves and comes back, around a pass each. A session that could not have its window is parked. The caller's
 * borrow would keep all where it is: the session has one of its own.
 */
static void move_away_and_back(struct account *account)
{
    struct dt2_error err;
    uint64_t freed;
    dt2_model_return(account->model);
    int rc = dt2_model_evict(account->model, NULL, UINT64_MAX, &freed, &err);
    failed(account, rc, &err);
    if (rc < 0) {
        must_be_good(account, dt2_session_unpark(account->session, &err), "unpark after evict", &err);
        must_be_good(account, dt2_model_evict(account->model, NULL, UINT64_MAX, &freed, &err), "evict", &err);
    }
    pass(account);
    rc = dt2_model_restore(account->model, NULL, &err);
    failed(account, rc, &err);
    if (rc < 0) {
        must_be_good(account, dt2_session_unpark(account->session, &err), "unpark after restore", &err);
        must_be_good(account, dt2_model_restore(account->model, NULL, &err), "restore", &err);
    }
    must_be_good(account, dt2_model_borrow(account->model, &err), "borrow", &err);
    pass(account);
}

int session_use(struct dt2_model *model, const struct work_file *file, struct dt2_error *err, char *again, size_t size)
{
    struct account account = { .model = model, .file = file, .err = err, .again = again, .size = size };
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_error failure;
    again[0] = '\0';
    options.has_stream = stream;
    options.stream = stream;
    options.host_memory = DT2_HOST_PINNED;
    options.pinned_bytes = 100000;
    options.staging_bytes = 1; /* the least: every slot is used several times */
    int rc = dt2_session_open(model, &options, &account.session, &failure);
    failed(&account, rc, &failure);
    if (rc < 0) {
        rc = dt2_session_open(model, &options, &account.session, &failure);
        must_be_good(&account, rc, "open", &failure);
    }
    if (rc < 0)
        return account.rc;
    pass(&account);
    must_be_good(&account, dt2_session_park(account.session, &failure), "park", &failure);
    rc = dt2_session_unpark(account.session, &failure);
    failed(&account, rc, &failure);
    if (rc < 0)
        must_be_good(&account, dt2_session_unpark(account.session, &failure), "unpark", &failure);
    pass(&account);
    move_away_and_back(&account);
    must_be_good(&account, dt2_session_close(account.session, &failure), "close", &failure);
    return account.rc;
}
