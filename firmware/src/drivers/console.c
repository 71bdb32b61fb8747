/* SPDX-License-Identifier: Apache-2.0 */
/* Console transmitter on USART1. RM0090 30.3.2 (transmitter), 30.3.4 (BRR). */
#include "drivers/console.h"
#include <stdarg.h>
#include "board/clock.h"
#include "board/format.h"
#include "board/pins.h"
#include "drivers/ring.h"

enum { BAUD = 115200, LINE_MAX = 400, RING_SIZE = 2048, POLLS_MAX = 20000 };

static uint8_t ring_bytes[RING_SIZE];
static struct ring ring = { ring_bytes, RING_SIZE - 1, 0, 0 };

void console_init(void)
{
    RCC->APB2ENR |= RCC_APB2ENR_USART1EN;
    (void)RCC->APB2ENR;
    gpio_clock_on(PIN_CONSOLE_TX);
    gpio_alternate(PIN_CONSOLE_TX, AF_USART1);
    USART1->BRR = (clock_apb2_hz() + BAUD / 2u) / BAUD; /* oversampling by 16: BRR is simply the divider */
    USART1->CR1 = USART_CR1_UE | USART_CR1_TE;
    nvic_enable(IRQ_USART1, PRIORITY_CONSOLE);
}

void USART1_IRQHandler(void);
void USART1_IRQHandler(void)
{
    uint8_t byte;
    if (!(USART1->SR & USART_SR_TXE))
        return;
    if (ring_get(&ring, &byte))
        USART1->DR = byte;
    else
        USART1->CR1 &= ~USART_CR1_TXEIE;
}

static void send_queued(uint8_t byte)
{
    while (!ring_put(&ring, byte)) {
        USART1->CR1 |= USART_CR1_TXEIE;
        cpu_idle();
    }
}

/* One byte takes 87 us = 14 600 cycles; a pause between two looks keeps bus (and emulator) traffic low. */
static void poll(uint32_t flag)
{
    for (unsigned n = 0; n < POLLS_MAX && !(USART1->SR & flag); n++)
        for (volatile unsigned pause = 0; pause < 100; pause++) {
        }
}

static void send_polled(uint8_t byte)
{
    poll(USART_SR_TXE);
    USART1->DR = byte;
}

static void line(void (*send)(uint8_t), const char *tag, const char *format, va_list arguments)
{
    char text[LINE_MAX + 1];
    while (*tag)
        send((uint8_t)*tag++);
    send(':');
    send(' ');
    (void)format_text(text, sizeof text, format, arguments);
    for (const char *c = text; *c; c++) /* nobody may forge a line by a name with a line break */
        send((uint8_t)((uint8_t)*c < ' ' || *c == 0x7F ? '?' : *c));
    send('\r');
    send('\n');
}

void console_line(const char *tag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line(send_queued, tag, format, arguments);
    va_end(arguments);
    USART1->CR1 |= USART_CR1_TXEIE;
}

void console_flush(void)
{
    while (ring_used(&ring))
        cpu_idle();
    poll(USART_SR_TC);
}

void console_panic_line(const char *tag, const char *format, ...)
{
    va_list arguments;
    uint8_t byte;
    if (!(USART1->CR1 & USART_CR1_UE))
        console_init(); /* a fault before the console was up */
    USART1->CR1 &= ~USART_CR1_TXEIE;
    while (ring_get(&ring, &byte)) /* what was said before comes first */
        send_polled(byte);
    va_start(arguments, format);
    line(send_polled, tag, format, arguments);
    va_end(arguments);
}
