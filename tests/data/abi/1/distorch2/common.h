/* SPDX-License-Identifier: BSD-3-Clause */
/* What every public header needs: export marks, the unknown number. */
#ifndef DISTORCH2_COMMON_H
#define DISTORCH2_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define DT2_BEGIN_DECLS extern "C" {
#define DT2_END_DECLS }
#else
#define DT2_BEGIN_DECLS
#define DT2_END_DECLS
#endif

#if defined(__GNUC__)
#define DT2_PUBLIC __attribute__((visibility("default")))
#define DT2_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define DT2_PUBLIC
#define DT2_PRINTF(fmt, args)
#endif

/* A number of bytes that nobody can tell. Never 0: that would be a statement. */
#define DT2_UNKNOWN UINT64_MAX

#endif
