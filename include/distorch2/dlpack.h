/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors for other programs' arrays, by DLPack (https://dmlc.github.io/dlpack/latest/, versions 0.8 and 1.1), without a
 * copy: PyTorch, NumPy, JAX and others take them.
 */
#ifndef DISTORCH2_DLPACK_H
#define DISTORCH2_DLPACK_H

#include <distorch2/session.h>

DT2_BEGIN_DECLS

enum dt2_dlpack_kind {
    DT2_DLPACK_UNVERSIONED, /* DLManagedTensor: capsules called "dltensor" */
    DT2_DLPACK_VERSIONED,   /* DLManagedTensorVersioned, read-only: capsules called "dltensor_versioned" */
};

/* Where DLPack says that a tensor is: DLDeviceType and the number of the device in its runtime. */
struct dt2_dlpack_device {
    size_t struct_size;
    int32_t type;
    int32_t id;
};
#define DT2_DLPACK_DEVICE_INIT { sizeof(struct dt2_dlpack_device), 0, 0 }

/*
 * A tensor of a model as a DLPack structure of that kind, which the caller owns until it calls the structure's own deleter.
 * The deleter may be called once, from any thread, whatever else the program does, also when it ends.
 *
 * `session` NULL: the tensor where it lies; it borrows the model until it is deleted. Else: the tensor on the session's
 * compute device; its block must be held now, and stays held until the structure is deleted. The bytes are the model's:
 * whoever writes to them changes it (a versioned structure says so by its read-only flag).
 *
 * Errors: DT2_EUSAGE for a wrong index, a session of another model, a tensor whose block is not held, a dtype that DLPack does not
 * have (GGUF's quantised blocks), and for OpenCL buffers, which have no address that an array library could use; DT2_EGONE
 * when the model is not loaded.
 */
DT2_PUBLIC int dt2_tensor_dlpack(struct dt2_model *model, struct dt2_session *session, size_t tensor,
                                 enum dt2_dlpack_kind kind, void **managed, struct dt2_error *err);

/* What dt2_tensor_dlpack() would say of the device. Errors: as there. */
DT2_PUBLIC int dt2_tensor_dlpack_device(struct dt2_model *model, struct dt2_session *session, size_t tensor,
                                        struct dt2_dlpack_device *device, struct dt2_error *err);

/*
 * All that a layer reads, in one call each way: a network of small layers is not held up by the number of its calls.
 *
 * Acquires the blocks of `count` tensors, given by index, as dt2_session_acquire() with `flags` does, once for tensors of a
 * block that follow each other; and makes managed[i] of tensors[i], as dt2_tensor_dlpack() does: all of it, or, on an error,
 * nothing. dt2_session_release_tensors() with the same list is owed, and each structure its deleter, in either order.
 * Errors: as of those two, naming the tensor or the block.
 */
DT2_PUBLIC int dt2_session_acquire_dlpack(struct dt2_session *session, const size_t *tensors, size_t count, unsigned flags,
                                          enum dt2_dlpack_kind kind, void **managed, struct dt2_error *err);

/*
 * Gives the blocks back that dt2_session_acquire_dlpack() acquired for this list: as dt2_session_release(), all of them, also
 * when one has an error, of which the first is returned. DT2_EBUSY: the stream captures a graph, and all of them stay held.
 */
DT2_PUBLIC int dt2_session_release_tensors(struct dt2_session *session, const size_t *tensors, size_t count,
                                           struct dt2_error *err);

/*
 * The destructor for a Python capsule (PyCapsule_Destructor) that holds such a structure: deletes it unless a consumer has
 * taken it over and renamed the capsule. It finds Python's functions in the running process, and does nothing without them.
 */
DT2_PUBLIC void dt2_dlpack_capsule_free(void *capsule);

DT2_END_DECLS
#endif
