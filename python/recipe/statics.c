/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a distribution's static hwloc and jansson need to be part of a shared library. They are made for programs, which
 * hold stdin, stdout, stderr and their own name themselves: the wheel's build renames those to these. And of udev, which
 * only knows disks by name, they find nothing: hwloc then reads /run/udev itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN FILE *dt2_stdin, *dt2_stdout, *dt2_stderr;
HIDDEN char *dt2_program_invocation_name;

__attribute__((constructor(101))) static void take_own(void)
{
    dt2_stdin = stdin;
    dt2_stdout = stdout;
    dt2_stderr = stderr;
    dt2_program_invocation_name = program_invocation_name;
}

HIDDEN void *udev_new(void);
HIDDEN void *udev_unref(void *udev);
HIDDEN void *udev_device_new_from_subsystem_sysname(void *udev, const char *subsystem, const char *name);
HIDDEN void *udev_device_unref(void *device);
HIDDEN const char *udev_device_get_property_value(void *device, const char *key);

void *udev_new(void)
{
    return NULL;
}

void *udev_unref(void *udev)
{
    (void)udev;
    return NULL;
}

void *udev_device_new_from_subsystem_sysname(void *udev, const char *subsystem, const char *name)
{
    (void)udev, (void)subsystem, (void)name;
    return NULL;
}

void *udev_device_unref(void *device)
{
    (void)device;
    return NULL;
}

const char *udev_device_get_property_value(void *device, const char *key)
{
    (void)device, (void)key;
    return NULL;
}
