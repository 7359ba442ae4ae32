/* SPDX-License-Identifier: BSD-3-Clause */
/* A vendor's library: there when a module is linked, not found when it is loaded. */
int dt2_fake_vendor(void);

__attribute__((visibility("default"))) int dt2_fake_vendor(void)
{
    return 0;
}
