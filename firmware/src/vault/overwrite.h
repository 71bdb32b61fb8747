/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a medium so that nothing of what was there remains, and no cell is worn for nothing. */
#ifndef OVERWRITE_H
#define OVERWRITE_H
#include "vault/medium.h"

/* Writes and reads back; a medium may take a write and keep something else. Cells that hold it already are left alone. */
enum storage_error overwrite(const struct medium *medium, const char *file, uint32_t offset, const uint8_t *from,
                             uint32_t length);

/* Fills with one byte, from the end to the beginning: what tells that something is there goes last. */
enum storage_error overwrite_blank(const struct medium *medium, const char *file, uint32_t offset, uint32_t length,
                                   uint8_t byte);
#endif
