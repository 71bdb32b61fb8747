/* SPDX-License-Identifier: Apache-2.0 */
/* USART2 to the modem. RM0090 30.3.3: DR is one byte deep, ORE tells of bytes lost. */
#include "drivers/modem_uart.h"
#include "board/clock.h"
#include "board/pins.h"
#include "drivers/ring.h"

enum { BAUD = 115200, RECEIVE_SIZE = 8192, TRANSMIT_SIZE = 2048 };

static uint8_t receive_bytes[RECEIVE_SIZE], transmit_bytes[TRANSMIT_SIZE];
static struct ring receive_ring = { receive_bytes, RECEIVE_SIZE - 1, 0, 0 };
static struct ring transmit_ring = { transmit_bytes, TRANSMIT_SIZE - 1, 0, 0 };
static volatile struct modem_uart_counters counters;

void modem_uart_init(void)
{
    RCC->APB1ENR |= RCC_APB1ENR_USART2EN;
    (void)RCC->APB1ENR;
    gpio_clock_on(PIN_MODEM_TX);
    gpio_clock_on(PIN_MODEM_RX);
    gpio_pull(PIN_MODEM_RX, GPIO_PULL_UP); /* no start bits from an absent modem */
    gpio_alternate(PIN_MODEM_TX, AF_USART2);
    gpio_alternate(PIN_MODEM_RX, AF_USART2);
    USART2->BRR = (clock_apb1_hz() + BAUD / 2u) / BAUD;
    USART2->CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
    nvic_enable(IRQ_USART2, PRIORITY_MODEM);
}

void USART2_IRQHandler(void);
void USART2_IRQHandler(void)
{
    uint32_t status = USART2->SR;
    if (status & (USART_SR_RXNE | USART_SR_ORE)) {
        uint8_t byte = (uint8_t)USART2->DR; /* reading SR, then DR clears RXNE, ORE, FE and NF (30.6.1) */
        if (status & USART_SR_ORE)
            counters.overrun++; /* the byte in DR is still good, the one after it is lost */
        if (status & (USART_SR_FE | USART_SR_NF))
            counters.line++;
        else if (!(status & USART_SR_RXNE)) {
        } else if (ring_put(&receive_ring, byte))
            counters.received++;
        else
            counters.ring_full++;
    }
    if ((USART2->CR1 & USART_CR1_TXEIE) && (status & USART_SR_TXE)) {
        uint8_t byte;
        if (ring_get(&transmit_ring, &byte))
            USART2->DR = byte;
        else
            USART2->CR1 &= ~USART_CR1_TXEIE;
    }
}

size_t modem_uart_available(void)
{
    return ring_used(&receive_ring);
}

size_t modem_uart_read(void *to, size_t capacity)
{
    uint8_t *bytes = to;
    size_t n = 0;
    while (n < capacity && ring_get(&receive_ring, &bytes[n]))
        n++;
    return n;
}

void modem_uart_write(const void *from, size_t length)
{
    const uint8_t *bytes = from;
    for (size_t i = 0; i < length; i++)
        while (!ring_put(&transmit_ring, bytes[i])) {
            USART2->CR1 |= USART_CR1_TXEIE;
            cpu_idle();
        }
    USART2->CR1 |= USART_CR1_TXEIE;
}

void modem_uart_discard(void)
{
    receive_ring.tail = receive_ring.head;
}

struct modem_uart_counters modem_uart_counters(void)
{
    uint32_t mask = interrupts_disable();
    struct modem_uart_counters now = counters;
    interrupts_restore(mask);
    return now;
}
