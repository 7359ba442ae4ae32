/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the wheel's program begins: that of a newer glibc asks for a symbol that 2.28 lacks. It has no constructors. */
#include <stdlib.h>

int main(int argc, char **argv);
int of_glibc_start(int (*program)(int, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                   void (*rtld_fini)(void), void *stack_end);
void dt2_start(long *stack, void (*rtld_fini)(void)) __attribute__((noreturn, visibility("hidden")));

#if defined __x86_64__
__asm__(".symver of_glibc_start,__libc_start_main@GLIBC_2.2.5");
__asm__(".globl _start\n.type _start,@function\n_start:\n"
        "xor %ebp, %ebp\nmov %rsp, %rdi\nmov %rdx, %rsi\nand $-16, %rsp\ncall dt2_start\nhlt\n");
#elif defined __aarch64__
__asm__(".symver of_glibc_start,__libc_start_main@GLIBC_2.17");
__asm__(".globl _start\n.type _start,%function\n_start:\n"
        "mov x29, #0\nmov x30, #0\nmov x1, x0\nmov x0, sp\nbl dt2_start\nbrk #0\n");
#endif

__attribute__((visibility("hidden"))) void *const __dso_handle = NULL; /* as crtbegin.o has it, for atexit() */

void dt2_start(long *stack, void (*rtld_fini)(void))
{
    of_glibc_start(main, (int)*stack, (char **)(stack + 1), NULL, NULL, rtld_fini, stack);
    abort();
}
