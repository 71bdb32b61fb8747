/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of IEEE 802.3, as zlib.crc32. */
#ifndef CRC32_H
#define CRC32_H
#include <stddef.h>
#include <stdint.h>

uint32_t crc32(const void *data, size_t length);

/* Of what has the CRC-32 `before` with `length` bytes behind it. */
uint32_t crc32_more(uint32_t before, const void *data, size_t length);
#endif
