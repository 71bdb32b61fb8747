/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/wipe.h"
#include <string.h>

void wipe(void *secret, size_t length)
{
    memset(secret, 0, length);
    __asm volatile("" ::"r"(secret) : "memory"); /* the compiler must believe that it is read here */
}
