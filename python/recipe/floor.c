/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the wheel's library and modules call of glibc, by the versions that glibc 2.28 has, also where they are linked
 * with a newer one: functions that moved to libc.so since then have a newer version there and are the same. For the
 * wheel alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define BASE "GLIBC_2.2.5"
#define VERSION_2_3_3 "GLIBC_2.3.3"
#define VERSION_2_3_4 "GLIBC_2.3.4"
#elif defined __aarch64__
#define BASE "GLIBC_2.17"
#define VERSION_2_3_3 BASE
#define VERSION_2_3_4 BASE
#endif

/* HERE(result, name, (parameters), (arguments), version): one of ours by glibc's name, which calls glibc's of a version. */
#define HERE(result, name, parameters, arguments, version)                                                            \
    result of_glibc_##name parameters;                                                                                \
    __asm__(".symver of_glibc_" #name "," #name "@" version);                                                         \
    result here_##name parameters __asm__(#name) __attribute__((visibility("hidden")));                               \
    result here_##name parameters                                                                                     \
    {                                                                                                                 \
        return of_glibc_##name arguments;                                                                             \
    }

HERE(int, dladdr, (const void *address, Dl_info *info), (address, info), BASE)
HERE(int, dlclose, (void *library), (library), BASE)
HERE(char *, dlerror, (void), (), BASE)
HERE(int, dlinfo, (void *library, int what, void *answer), (library, what, answer), VERSION_2_3_3)
HERE(void *, dlopen, (const char *name, int flags), (name, flags), BASE)
HERE(void *, dlsym, (void *library, const char *name), (library, name), BASE)
HERE(int, pthread_condattr_setclock, (pthread_condattr_t * attributes, clockid_t clock), (attributes, clock),
     VERSION_2_3_3)
HERE(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument),
     (thread, attributes, function, argument), BASE)
HERE(int, pthread_detach, (pthread_t thread), (thread), BASE)
HERE(int, pthread_getaffinity_np, (pthread_t thread, size_t size, cpu_set_t *set), (thread, size, set), VERSION_2_3_4)
HERE(int, pthread_join, (pthread_t thread, void **result), (thread, result), BASE)
HERE(int, pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end), BASE)
HERE(void *, pthread_getspecific, (pthread_key_t key), (key), BASE)
HERE(int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value), BASE)
HERE(int, pthread_once, (pthread_once_t * once, void (*function)(void)), (once, function), BASE)
HERE(int, pthread_rwlock_destroy, (pthread_rwlock_t * lock), (lock), BASE)
HERE(int, pthread_rwlock_init, (pthread_rwlock_t * lock, const pthread_rwlockattr_t *attributes), (lock, attributes), BASE)
HERE(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock), BASE)
HERE(int, pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock), BASE)
HERE(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock), BASE)
HERE(int, pthread_setaffinity_np, (pthread_t thread, size_t size, const cpu_set_t *set), (thread, size, set),
     VERSION_2_3_4)
HERE(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old), BASE)

/* These were inline in older headers, and no symbols. The kernel's structure is ours on 64-bit machines. */
#define HIDDEN(name) __asm__(#name) __attribute__((visibility("hidden")))
int here_stat(const char *path, struct stat *facts) HIDDEN(stat);
int here_lstat(const char *path, struct stat *facts) HIDDEN(lstat);
int here_fstat(int fd, struct stat *facts) HIDDEN(fstat);
int here_fstatat(int fd, const char *path, struct stat *facts, int flags) HIDDEN(fstatat);

int here_fstatat(int fd, const char *path, struct stat *facts, int flags)
{
    return (int)syscall(SYS_newfstatat, fd, path, facts, flags);
}

int here_stat(const char *path, struct stat *facts)
{
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, facts, 0);
}

int here_lstat(const char *path, struct stat *facts)
{
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, facts, AT_SYMLINK_NOFOLLOW);
}

int here_fstat(int fd, struct stat *facts)
{
    return (int)syscall(SYS_fstat, fd, facts);
}
