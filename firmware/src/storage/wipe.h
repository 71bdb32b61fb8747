/* SPDX-License-Identifier: Apache-2.0 */
/* Overwriting secrets. */
#ifndef WIPE_H
#define WIPE_H
#include <stddef.h>

/* Zeros `length` bytes even if nobody reads them again, which lets a compiler drop a memset. */
void wipe(void *secret, size_t length);
#endif
