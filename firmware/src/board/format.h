/* SPDX-License-Identifier: Apache-2.0 */
/* printf subset without heap, floating point or locale. */
#ifndef FORMAT_H
#define FORMAT_H
#include <stdarg.h>
#include <stddef.h>

/* Like vsnprintf: always terminates (size > 0), returns the length the whole text would have. Formats:
 * see console.h. */
size_t format_text(char *to, size_t size, const char *format, va_list arguments);
size_t format_to(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
