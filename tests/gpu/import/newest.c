/* SPDX-License-Identifier: BSD-3-Clause */
/* What the runtime that comes with a program has, and the system's older one has not. */
int DT2_NEWEST(void);
int DT2_NEWEST(void)
{
    return 42;
}
