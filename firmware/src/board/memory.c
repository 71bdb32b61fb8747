/* SPDX-License-Identifier: Apache-2.0 */
/* What newlib asks of a system without one: a heap for those who allocate (TLS), and nothing else. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include "board/fault.h"

extern char _heap_start[], _heap_end[];
void *_sbrk(ptrdiff_t bytes);
_Noreturn void _exit(int status);

/* Malloc gets all SRAM behind .bss, and NULL when it is used up. */
void *_sbrk(ptrdiff_t bytes)
{
    static char *end = _heap_start;
    if (bytes > _heap_end - end || bytes < _heap_start - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    char *old = end;
    end += bytes;
    return old;
}

_Noreturn void _exit(int status)
{
    (void)status;
    fault_stop("exit");
}
