/* SPDX-License-Identifier: Apache-2.0 */
/* Byte stream to the modem: USART2, 115200 8N1, both directions by interrupt through rings. */
#ifndef MODEM_UART_H
#define MODEM_UART_H
#include <stddef.h>
#include <stdint.h>

struct modem_uart_counters {
    uint32_t received;  /* bytes put into the ring */
    uint32_t ring_full; /* bytes lost because nobody read in time */
    uint32_t overrun;   /* ORE: bytes lost in the hardware */
    uint32_t line;      /* framing or noise errors; the byte is dropped */
};

void modem_uart_init(void);
size_t modem_uart_available(void);                      /* bytes waiting in the 8 KB receive ring */
size_t modem_uart_read(void *to, size_t capacity);      /* never blocks; returns the bytes copied */
void modem_uart_write(const void *from, size_t length); /* returns when queued; sleeps while the 2 KB ring is full */
void modem_uart_discard(void);                          /* forget what has been received */
struct modem_uart_counters modem_uart_counters(void);
#endif
