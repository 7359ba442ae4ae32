/* SPDX-License-Identifier: BSD-3-Clause */
/* A vendor's library, of which test-gpu loads copies under all sorts of names. */
#include <distorch2/common.h>

DT2_PUBLIC int fake_version(void);
DT2_PUBLIC int fake_version(void)
{
    return 3;
}
