/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors as DLPack structures. Their layouts are those of dlpack.h, versions 0.8 and 1.1
 * (https://dmlc.github.io/dlpack/latest/c_api.html), which never change within a major version.
 */
#include <distorch2/dlpack.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "model/model.h"
#include "stream/stream.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* -- DLPack's own --------------------------------------------------------------------------------------------- */

enum { DL_CPU = 1, DL_CUDA = 2, DL_OPENCL = 4, DL_ROCM = 10 };
enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BFLOAT = 4, DL_COMPLEX = 5, DL_BOOL = 6 };
#define DL_MAJOR 1
#define DL_MINOR 1
#define DL_READ_ONLY 1

struct dl_type {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
};

struct dl_device {
    int32_t type;
    int32_t id;
};

struct dl_tensor {
    void *data;
    struct dl_device device;
    int32_t ndim;
    struct dl_type dtype;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
};

struct dl_unversioned {
    struct dl_tensor tensor;
    void *manager;
    void (*deleter)(struct dl_unversioned *self);
};

struct dl_versioned {
    uint32_t major;
    uint32_t minor;
    void *manager;
    void (*deleter)(struct dl_versioned *self);
    uint64_t flags;
    struct dl_tensor tensor;
};

/* -- what it stands for ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name; /* safetensors' */
    struct dl_type type;
} types[] = {
    { "F64", { DL_FLOAT, 64, 1 } },  { "F32", { DL_FLOAT, 32, 1 } },  { "F16", { DL_FLOAT, 16, 1 } },
    { "BF16", { DL_BFLOAT, 16, 1 } }, { "I64", { DL_INT, 64, 1 } },    { "I32", { DL_INT, 32, 1 } },
    { "I16", { DL_INT, 16, 1 } },    { "I8", { DL_INT, 8, 1 } },      { "U64", { DL_UINT, 64, 1 } },
    { "U32", { DL_UINT, 32, 1 } },   { "U16", { DL_UINT, 16, 1 } },   { "U8", { DL_UINT, 8, 1 } },
    { "BOOL", { DL_BOOL, 8, 1 } },   { "C64", { DL_COMPLEX, 64, 1 } }, { "F8_E4M3", { 10, 8, 1 } },
    { "F8_E4M3FNUZ", { 11, 8, 1 } }, { "F8_E5M2", { 12, 8, 1 } },     { "F8_E5M2FNUZ", { 13, 8, 1 } },
    { "F8_E8M0", { 14, 8, 1 } },
};

static const struct {
    const char *driver;
    int32_t type;
} drivers[] = { { "cuda:", DL_CUDA }, { "hip:", DL_ROCM }, { "rocm:", DL_ROCM }, { "opencl:", DL_OPENCL } };

/* DLPack's device for the name under which ours is listed. Host memory is one device there, whatever its nodes. */
static struct dl_device device_of(const char *name)
{
    for (size_t i = 0; i < DT2_COUNT(drivers); i++) {
        size_t length = strlen(drivers[i].driver);
        if (strncmp(name, drivers[i].driver, length) == 0)
            return (struct dl_device){ drivers[i].type, (int32_t)strtol(name + length, NULL, 10) };
    }
    return (struct dl_device){ DL_CPU, 0 };
}

/* One export: the structure in either kind, and what it holds. */
struct export {
    union {
        struct dl_unversioned unversioned;
        struct dl_versioned versioned;
    };
    struct dt2_model *model;     /* borrowed, and referenced */
    struct dt2_session *session; /* NULL: the tensor where it lies, which may outlive a session */
    size_t tensor;               /* held in the session's window */
    struct dt2_slab *slab;       /* of a tensor where it lies: held, so that it stays there; NULL: the tensor has no bytes */
    int64_t shape[];             /* and strides behind it */
};

static void end(struct export *export)
{
    DT2_KEEP_ERRNO;
    if (export->session)
        dt2_session_let_go(export->session, export->tensor);
    if (export->slab)
        dt2_slab_let_go(export->slab);
    dt2_model_return(export->model);
    atomic_fetch_sub(&export->model->exports, 1); /* in this order: who moves slabs takes borrows above these for others' */
    dt2_model_unref(export->model);
    dt2_release(export);
}

static void delete_unversioned(struct dl_unversioned *self)
{
    if (self)
        end(self->manager);
}

static void delete_versioned(struct dl_versioned *self)
{
    if (self)
        end(self->manager);
}

/* -- making ------------------------------------------------------------------------------------------------------ */

static int find_type(const struct dt2_tensor *tensor, struct dl_type *type, struct dt2_error *err)
{
    for (size_t i = 0; i < DT2_COUNT(types); i++)
        if (strcmp(types[i].name, tensor->dtype) == 0) {
            *type = types[i].type;
            return 0;
        }
    return dt2_fail(err, DT2_EUSAGE, "tensor %s is %s, which DLPack does not have", tensor->name, tensor->dtype);
}

static int check_session(const struct dt2_model *model, const struct dt2_session *session, struct dt2_error *err)
{
    if (!session || dt2_session_model(session) == model)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "the session runs another model, %s", dt2_model_name(dt2_session_model(session)));
}

/* The tensor's address and device, while it is held. */
static int locate(struct dt2_model *model, struct dt2_session *session, size_t tensor, struct dt2_native *native,
                  struct dt2_error *err)
{
    return session ? dt2_session_native(session, tensor, native, err) : dt2_model_native(model, tensor, native, err);
}

static int check_device(const struct dt2_native *native, const struct dt2_tensor *tensor, struct dt2_error *err)
{
    if (device_of(native->device).type != DL_OPENCL)
        return 0;
    dt2_fail(err, DT2_EUSAGE, "tensor %s is an OpenCL buffer on %s, which has no address that an array library could use",
             tensor->name, native->device);
    dt2_suggest(err, "copy it to host memory with dt2_model_read(), or compute on another device");
    return DT2_EUSAGE;
}

static void fill(struct dl_tensor *out, struct export *export, const struct dt2_tensor *tensor,
                 const struct dt2_native *native, struct dl_type type)
{
    int64_t *strides = export->shape + tensor->rank, stride = 1;
    for (size_t i = tensor->rank; i-- > 0;) {
        export->shape[i] = (int64_t)tensor->shape[i];
        strides[i] = stride;
        if (tensor->bytes)
            stride *= export->shape[i];
    }
    *out = (struct dl_tensor){ .data = native->handle,
                               .device = device_of(native->device),
                               .ndim = (int32_t)tensor->rank,
                               .dtype = type,
                               .shape = export->shape,
                               .strides = strides };
}

/* The slab of a tensor of a model that is borrowed; NULL: it has no bytes, or was not loaded. */
static struct dt2_slab *slab_of(const struct dt2_model *model, size_t tensor)
{
    if (tensor >= model->table.count || model->owners[tensor] == SIZE_MAX)
        return NULL;
    const struct dt2_place *place = &model->layout.places[tensor];
    const struct dt2_store *store = &model->storage.stores[place->share];
    return place->bytes && store->slab_count ? &store->slabs[place->slab] : NULL;
}

/* What keeps a tensor where it is. */
struct holding {
    struct dt2_session *session; /* in its window; else NULL, and in its slab */
    struct dt2_slab *slab;
};

static int hold(struct dt2_model *model, struct dt2_session *session, size_t tensor, struct holding *holding,
                struct dt2_error *err)
{
    *holding = (struct holding){ 0 };
    int rc = session ? dt2_session_hold(session, tensor, &holding->session, err) : 0;
    if (rc == 0 && !holding->session)
        holding->slab = slab_of(model, tensor);
    if (holding->slab)
        dt2_slab_hold(holding->slab);
    return rc;
}

static void let_go(const struct holding *holding, size_t tensor)
{
    if (holding->session)
        dt2_session_let_go(holding->session, tensor);
    if (holding->slab)
        dt2_slab_let_go(holding->slab);
}

/* The structure itself, for a tensor that is borrowed and held. */
static int make(struct dt2_model *model, struct dt2_session *session, const struct holding *holding, size_t index,
                enum dt2_dlpack_kind kind, void **managed, struct dt2_error *err)
{
    const struct dt2_tensor *tensor = dt2_model_tensor(model, index);
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dl_type type;
    int rc = locate(model, session, index, &native, err);
    if (rc == 0)
        rc = check_device(&native, tensor, err);
    if (rc == 0)
        rc = find_type(tensor, &type, err);
    if (rc < 0)
        return rc;
    struct export *export = dt2_alloc(1, sizeof *export + 2 * tensor->rank * sizeof *export->shape);
    if (!export)
        return dt2_fail_nomem(err);
    export->model = dt2_model_ref(model);
    export->session = holding->session;
    export->slab = holding->slab;
    export->tensor = index;
    if (kind == DT2_DLPACK_VERSIONED) {
        export->versioned = (struct dl_versioned){ .major = DL_MAJOR, .minor = DL_MINOR, .manager = export,
                                                   .deleter = delete_versioned, .flags = DL_READ_ONLY };
        fill(&export->versioned.tensor, export, tensor, &native, type);
        *managed = &export->versioned;
    } else {
        export->unversioned = (struct dl_unversioned){ .manager = export, .deleter = delete_unversioned };
        fill(&export->unversioned.tensor, export, tensor, &native, type);
        *managed = &export->unversioned;
    }
    return 0;
}

int dt2_tensor_dlpack(struct dt2_model *model, struct dt2_session *session, size_t tensor, enum dt2_dlpack_kind kind,
                      void **managed, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (kind != DT2_DLPACK_UNVERSIONED && kind != DT2_DLPACK_VERSIONED)
        return dt2_fail(err, DT2_EUSAGE, "%d is no kind of DLPack structure: it is no enum dt2_dlpack_kind", (int)kind);
    int rc = check_session(model, session, err);
    struct holding holding;
    if (rc < 0)
        return rc;
    atomic_fetch_add(&model->exports, 1);
    rc = dt2_model_borrow_again(model, err); /* of the caller's, or the session's */
    if (rc == 0) {
        rc = hold(model, session, tensor, &holding, err);
        if (rc == 0)
            rc = make(model, session, &holding, tensor, kind, managed, err);
        if (rc < 0) {
            let_go(&holding, tensor);
            dt2_model_return(model);
        }
    }
    if (rc < 0)
        atomic_fetch_sub(&model->exports, 1);
    return rc;
}

/* -- all that a layer reads ---------------------------------------------------------------------------------------- */

static void delete_structure(void *managed, enum dt2_dlpack_kind kind)
{
    if (kind == DT2_DLPACK_VERSIONED)
        delete_versioned(managed);
    else
        delete_unversioned(managed);
}

/* Whether a tensor's block is that of the one before it, with which it is acquired and released. */
static bool goes_along(const struct dt2_session *session, const size_t *tensors, size_t i)
{
    size_t block = dt2_model_tensor_block(session->model, tensors[i]);
    return i > 0 && block != SIZE_MAX && block == dt2_model_tensor_block(session->model, tensors[i - 1]);
}

static int acquire_one(struct dt2_session *session, const size_t *tensors, size_t i, unsigned flags, enum dt2_dlpack_kind kind,
                       void **managed, struct dt2_error *err)
{
    bool along = goes_along(session, tensors, i);
    int rc = along ? 0 : dt2_session_acquire_tensor(session, tensors[i], flags, err);
    if (rc < 0)
        return rc;
    rc = dt2_tensor_dlpack(session->model, session, tensors[i], kind, managed, err);
    if (rc < 0 && !along)
        dt2_session_release_tensor(session, tensors[i], NULL);
    return rc;
}

int dt2_session_acquire_dlpack(struct dt2_session *session, const size_t *tensors, size_t count, unsigned flags,
                               enum dt2_dlpack_kind kind, void **managed, struct dt2_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = acquire_one(session, tensors, i, flags, kind, &managed[i], err);
        if (rc == 0)
            continue;
        for (size_t j = 0; j < i; j++)
            delete_structure(managed[j], kind);
        dt2_session_release_tensors(session, tensors, i, NULL);
        return rc;
    }
    return 0;
}

int dt2_session_release_tensors(struct dt2_session *session, const size_t *tensors, size_t count, struct dt2_error *err)
{
    int rc = 0;
    for (int streams = 1; streams >= 0; streams--) /* those first that a graph's capture keeps: then none has gone */
        for (size_t i = 0; i < count; i++) {
            if (dt2_session_streams(session, dt2_model_tensor_block(session->model, tensors[i])) != streams ||
                goes_along(session, tensors, i))
                continue;
            int failed = dt2_session_release_tensor(session, tensors[i], rc < 0 ? NULL : err);
            if (failed == DT2_EBUSY)
                return failed;
            rc = rc < 0 ? rc : failed;
        }
    return rc;
}

static const struct dt2_sized sized_device =
    DT2_SIZED(struct dt2_dlpack_device, id, "the DLPack device's", "DT2_DLPACK_DEVICE_INIT");

int dt2_tensor_dlpack_device(struct dt2_model *model, struct dt2_session *session, size_t tensor,
                             struct dt2_dlpack_device *device, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_native native = DT2_NATIVE_INIT;
    int rc = dt2_result_check(&sized_device, device, err);
    if (rc == 0)
        rc = check_session(model, session, err);
    if (rc == 0)
        rc = locate(model, session, tensor, &native, err);
    if (rc == 0)
        rc = check_device(&native, dt2_model_tensor(model, tensor), err);
    if (rc < 0)
        return rc;
    struct dl_device found = device_of(native.device);
    const struct dt2_dlpack_device made = { .type = found.type, .id = found.id };
    dt2_result_write(&sized_device, &made, device);
    return 0;
}

/* -- Python's capsules --------------------------------------------------------------------------------------------- */

/* Python is not linked: a program that has capsules has these functions. They are looked up once, which takes microseconds. */
static struct {
    pthread_once_t once;
    int (*is_valid)(void *, const char *);
    void *(*get_pointer)(void *, const char *);
} python = { .once = PTHREAD_ONCE_INIT };

static void find_python(void)
{
    *(void **)&python.is_valid = dlsym(RTLD_DEFAULT, "PyCapsule_IsValid");
    *(void **)&python.get_pointer = dlsym(RTLD_DEFAULT, "PyCapsule_GetPointer");
}

/* Calls come from Python, which holds its lock. */
void dt2_dlpack_capsule_free(void *capsule)
{
    DT2_KEEP_ERRNO;
    pthread_once(&python.once, find_python);
    if (!capsule || !python.is_valid || !python.get_pointer)
        return;
    if (python.is_valid(capsule, "dltensor")) {
        struct dl_unversioned *held = python.get_pointer(capsule, "dltensor");
        held->deleter(held);
    } else if (python.is_valid(capsule, "dltensor_versioned")) {
        struct dl_versioned *held = python.get_pointer(capsule, "dltensor_versioned");
        held->deleter(held);
    }
}
