/* SPDX-License-Identifier: BSD-3-Clause */
/* How constants and types of a vendor's are declared here, and held against the vendor's own where those are. */
#ifndef DT2_GPU_DECLARED_H
#define DT2_GPU_DECLARED_H

/* For lists of X(NAME, VALUE): an enumerator of ours; and that whoever has declared it means the same number. */
#define DT2_DECLARED(name, value) name = (value),
#define DT2_DECLARED_ALIKE(name, value) _Static_assert((name) == (value), #name " is not what the vendor has");

#define DT2_DECLARED_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " is not what the vendor has");
#define DT2_DECLARED_MEMBER(type, member, offset, what)                                                                \
    _Static_assert(offsetof(type, member) == (offset) &&                                                               \
                       __builtin_types_compatible_p(__typeof__(((type *)0)->member), what),                            \
                   #type " is not what the vendor has");

#endif
