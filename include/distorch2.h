/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2: load a model with its tensors spread over the memories of unlike devices.
 *
 * This is the whole public interface. It has three tiers, each of which can be used alone:
 *
 *   1. a file as a table of tensors          distorch2/file.h
 *   2. a plan over any list of blocks        distorch2/plan.h, distorch2/device.h
 *   3. loading, and the models loaded        distorch2/model.h
 *      running them, block by block          distorch2/session.h
 *      as arrays of other libraries          distorch2/dlpack.h
 *
 * with the catalogue of model folders (distorch2/catalog.h), the context that holds drivers and
 * loaded models together (distorch2/context.h), and the errors that all of them speak
 * (distorch2/error.h). <distorch2/distorch2.hpp> is all of it for C++. distorch2/backend.h is the
 * contract with driver modules: programs that only load models never need it, and this header
 * leaves it out.
 *
 * Conventions, which hold for every function here:
 *
 * - Functions that can fail return 0, or a negative enum dt2_code and fill *err. `err` may be NULL.
 *   Out-parameters come last before `err` and are written on success only. Any of these functions may
 *   fail with DT2_ENOMEM, also where its comment does not say so.
 * - Pointers are not NULL unless it is said that they may be. Strings are NUL-terminated, and copied
 *   when the library keeps them. An index that is too large gives NULL from functions that return a
 *   pointer, and DT2_EUSAGE from those that can fail.
 * - Objects are opaque. What a function returns as `const` belongs to the object it was asked of and
 *   lives as long as that object; what it returns as non-const belongs to the caller. Every
 *   ..._free, ..._destroy and ..._unref accepts NULL.
 * - Structs of options, and those that a function fills for its caller, begin with struct_size. Start
 *   from their ..._INIT, which sets it with the defaults. Later versions of the library may add members
 *   at the end; programs that were built before go on as they are. Options of a newer program that ask
 *   for what this library does not know are DT2_EUSAGE.
 * - Structs that the library owns may grow at their end too, so arrays of them are arrays of pointers.
 *   Those of which programs pass arrays (dt2_block, dt2_gang, dt2_limit,
 *   dt2_memory, dt2_native_context), and dt2_error, never change.
 * - Sizes are bytes in uint64_t; a number that nobody can tell is DT2_UNKNOWN. Speeds are in 10^9
 *   bytes a second ("gbps"), negative when unknown. Times are nanoseconds.
 * - The library never aborts, exits or prints, and leaves errno as it was.
 * - Unless a function says otherwise, two threads may call it at once, also on one object that is
 *   only read. An object is freed by one thread, when no other uses it.
 */
#ifndef DISTORCH2_H
#define DISTORCH2_H

#include <distorch2/catalog.h>
#include <distorch2/context.h>
#include <distorch2/device.h>
#include <distorch2/dlpack.h>
#include <distorch2/error.h>
#include <distorch2/file.h>
#include <distorch2/measure.h>
#include <distorch2/model.h>
#include <distorch2/plan.h>
#include <distorch2/session.h>
#include <distorch2/shared.h>
#include <distorch2/size.h>

#endif
