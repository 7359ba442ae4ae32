/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of the library's. */
#ifndef DT2_BASE_THREAD_H
#define DT2_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that takes none of the program's signals. Returns 0 or a positive errno. */
int dt2_thread_start(pthread_t *thread, void *(*run)(void *data), void *data);

/* Processors that this process may use; 0: more than the kernel was asked about. */
unsigned dt2_thread_processors(void);

#endif
