/* SPDX-License-Identifier: Apache-2.0 */
/* JSON (RFC 8259) as far as a device needs it: texts out of an object a server sent, and into one for it. */
#ifndef JSON_H
#define JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text member `name` of the object, its escapes resolved, NUL-terminated into `to`. What lies beside it is stepped
 * over, however deep. false: no such member, not a text, not JSON up to there, more than fits, or not ASCII. */
bool json_text(const uint8_t *json, size_t length, const char *name, char *to, size_t size);

/* `text` as it stands between quotation marks, NUL-terminated, control characters left out; as much as fits. */
void json_escape(char *to, size_t size, const char *text);
#endif
