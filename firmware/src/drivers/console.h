/* SPDX-License-Identifier: Apache-2.0 */
/* Console lines on USART1 (115200 8N1), SPEC section 6. Sent by interrupt from a ring; a full ring makes
 * the caller sleep. */
#ifndef CONSOLE_H
#define CONSOLE_H
#include <stddef.h>
#include <stdint.h>

void console_init(void);

/* Sends "tag: text" CR LF; cut at 400 characters. Bytes outside printable ASCII/UTF-8 (control characters) become '?'.
 * Formats: %s %.*s %c %d %i %u %x %X %p %% with flags 0 and -, width, precision for %s, l/ll/z/h modifiers. No floating
 * point. Not from interrupts. */
void console_line(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));

void console_flush(void); /* returns when the last stop bit has left (needed before a reset) */

/* The same line, polled, no interrupts: for fault handlers only. */
void console_panic_line(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
