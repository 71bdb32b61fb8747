/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a chunk: its values, each behind a u16 length (SPEC section 9). */
#ifndef CONTENT_H
#define CONTENT_H
#include <stdbool.h>
#include "vault/credentials.h"

/* Bytes the values take as content; 0: there is none, one is empty, or one is too long for its length. */
size_t content_size(const struct blob *values, size_t count);

/* content_size bytes to `to`. */
void content_write(const struct blob *values, size_t count, uint8_t *to);

/* Takes the next value off the front of `rest`; false: there is none, or it reaches beyond the end. */
bool content_next(struct blob *rest, struct blob *value);

/* Hands the values to where credentials of this tag belong; they stay where they are. false: not the content of such a
 * chunk, or there is one already. */
bool content_take(struct blob content, uint16_t tag, struct credentials *out);
#endif
