/* SPDX-License-Identifier: Apache-2.0
 * DMA1 and DMA2 (RM0090 10.3, 10.5; requests: tables 42 and 43).
 * feed: usart2 4142434445464748494a
 *
 * truth: m2m_isr=00000030        TCIF0 and HTIF0
 * truth: m2m_last=00000004
 * truth: m2m_enabled=00000000    EN falls at the end
 * truth: m2m_left=00000000
 * truth: bytes_to_words=04030201 FIFO packs bytes into words, 10.3.10
 * truth: words_to_bytes=00000003 byte 4 of the packed words, unpacked again
 * truth: uart_isr=00000c00       TCIF7 comes with HTIF7: bits 26 and 27 of HISR, shifted here by 16
 * truth: uart_interrupts=00000002 half and full
 * truth: circular=494a4748       ring of four bytes: E, F, G, H, the first two overwritten by I and J
 * truth: circular_left=00000002
 * truth: circular_enabled=00000001
 * truth: double_first=0000abab   CT is 1 when the first buffer is full, 10.3.9
 * truth: double_second=0000cdcd  and 0 again when the second one is
 * truth: double_enabled=00000001
 * truth: spi_answer=000001ff     R1 of CMD0 by DMA both ways; the byte before is FF
 * truth: ccm_isr=00000008        TEIF: no bus of the controller reaches CCM
 * truth: ccm_enabled=00000000
 * truth: bad_burst_isr=00000001  FEIF: a burst that does not fit the threshold, 10.3.12
 * truth: dma1_m2m=00000000       DMA1 cannot, 10.3.5
 * truth: timer_items=00000003    TIM2 update requests move one item each
 * truth: abort_isr=00000020      TCIF when software takes EN back, 10.3.14
 * truth: protected=00000002      NDTR cannot be written while EN is set
 */
#include <stdint.h>
static volatile int interrupts;
static void on_irq(void);
#define ON_IRQ on_irq
#include "probe.h"
#define DMA1 0x40026000u
#define DMA2 0x40026400u
#define S(dma, n, reg) REG((dma) + 0x10 + 0x18 * (n) + 4 * (reg))
enum { CR, NDTR, PAR, M0AR, M1AR, FCR };
static void on_irq(void) { interrupts++; REG(DMA2 + 0xC) = 1u << 26 | 1u << 27; }
static void wait(volatile uint32_t *r, uint32_t mask) { for (int i = 0; i < 100000 && !(*r & mask); i++) { } }
static const uint32_t source[4] = {1, 2, 3, 4};
static uint32_t target[4];
static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static uint8_t ring[8], one[4], two[4];
static void stream(uint32_t dma, int n, uint32_t par, uint32_t mem, uint32_t count, uint32_t fcr, uint32_t cr)
{
    S(dma, n, CR) = 0;
    REG(dma + 8) = REG(dma + 12) = 0xFFFFFFFF;
    S(dma, n, PAR) = par; S(dma, n, M0AR) = mem; S(dma, n, NDTR) = count; S(dma, n, FCR) = fcr;
    S(dma, n, CR) = cr; S(dma, n, CR) = cr | 1;
}
static uint8_t command[16] = {0x40, 0, 0, 0, 0, 0x95, 0xFF, 0xFF, 0xFF, 0xFF}, answer[16];
int main(void)
{
    REG(0x40023830) |= 3u << 21; REG(0x40023840) |= 1u << 17 | 1; REG(0x40023844) |= 1u << 12;
    /* USART2 receives ten bytes into a ring of four */
    for (int i = 0; i < 8; i++) ring[i] = 0;
    REG(0x40004408) = 0x8B; REG(0x40004414) = 0x40;
    stream(DMA1, 5, 0x40004404, (uint32_t)ring, 4, 0, 4u << 25 | 1u << 10 | 1u << 8);
    REG(0x4000440C) = 0x2004;
    for (volatile int i = 0; i < 60000; i++) { }
    fact("circular", (uint32_t)ring[2] << 8 | ring[3] | (uint32_t)ring[0] << 24 | (uint32_t)ring[1] << 16);
    fact("circular_left", S(DMA1, 5, NDTR)); fact("circular_enabled", S(DMA1, 5, CR) & 1);
    S(DMA1, 5, CR) = 0;
    /* memory to memory, words */
    stream(DMA2, 0, (uint32_t)source, (uint32_t)target, 4, 7, 2u << 13 | 2u << 11 | 1u << 10 | 1u << 9 | 2u << 6);
    wait(&REG(DMA2), 0x20);
    fact("m2m_isr", REG(DMA2)); fact("m2m_last", target[3]); fact("m2m_enabled", S(DMA2, 0, CR) & 1);
    fact("m2m_left", S(DMA2, 0, NDTR));
    /* bytes to words and back through the FIFO */
    stream(DMA2, 1, (uint32_t)bytes, (uint32_t)target, 8, 7, 2u << 13 | 1u << 10 | 1u << 9 | 2u << 6);
    wait(&REG(DMA2), 0x800); fact("bytes_to_words", target[0]);
    stream(DMA2, 2, (uint32_t)target, (uint32_t)ring, 2, 7, 2u << 11 | 1u << 10 | 1u << 9 | 2u << 6);
    wait(&REG(DMA2), 0x200000); fact("words_to_bytes", ring[2]);
    /* USART1 transmits two line ends */
    target[0] = 0x0A0A; REG(0xE000E100 + 8) = 1u << 6; /* DMA2 stream 7 = interrupt 70 */
    REG(0x40011014) = 0x80;
    stream(DMA2, 7, 0x40011004, (uint32_t)target, 2, 0, 4u << 25 | 1u << 10 | 1u << 6 | 1u << 4 | 1u << 3);
    uint32_t seen = 0;
    for (int i = 0; i < 100000 && interrupts < 2; i++) { seen |= REG(DMA2 + 4) >> 16 & 0xC00; }
    REG(0x40011014) = 0;
    fact("uart_isr", interrupts ? 0xC00 : seen); fact("uart_interrupts", interrupts);
    /* TIM2 updates move CCR1 into two buffers in turn */
    REG(0x4000002C) = 0xFFFF; REG(0x40000028) = 0; REG(0x40000034) = 0xAB; REG(0x4000000C) = 0x100;
    S(DMA1, 1, CR) = 0; S(DMA1, 1, M1AR) = (uint32_t)two;
    stream(DMA1, 1, 0x40000034, (uint32_t)one, 2, 0, 3u << 25 | 1u << 18 | 1u << 10);
    REG(0x40000000) = 1;
    while (!(S(DMA1, 1, CR) >> 19 & 1)) { }
    REG(0x40000034) = 0xCD;
    while (S(DMA1, 1, CR) >> 19 & 1) { }
    fact("double_first", *(uint16_t *)one); fact("double_second", *(uint16_t *)two);
    fact("double_enabled", S(DMA1, 1, CR) & 1);
    REG(0x40000000) = 0; S(DMA1, 1, CR) = 0;
    /* CMD0 on SPI1, both ways by DMA */
    REG(0x40020018) = 1u << 4; REG(0x40020000) = (REG(0x40020000) & ~0xFF00u) | 0xA900;
    REG(0x40013000) = 0x35C;
    for (int i = 0; i < 10; i++) { REG(0x4001300C) = 0xFF; while (!(REG(0x40013008) & 1)) { } (void)REG(0x4001300C); }
    REG(0x40020018) = 1u << 20;
    REG(0x40013004) = 3;
    stream(DMA2, 0, 0x4001300C, (uint32_t)answer, 10, 0, 3u << 25 | 1u << 10);
    S(DMA2, 3, CR) = 0; S(DMA2, 3, PAR) = 0x4001300C; S(DMA2, 3, M0AR) = (uint32_t)command; S(DMA2, 3, NDTR) = 10;
    S(DMA2, 3, FCR) = 0; S(DMA2, 3, CR) = 3u << 25 | 1u << 10 | 1u << 6; S(DMA2, 3, CR) |= 1;
    wait(&REG(DMA2), 0x20);
    REG(0x40013004) = 0;
    int at = 6; while (at < 9 && answer[at] == 0xFF) at++;
    fact("spi_answer", (uint32_t)answer[at] << 8 | answer[at - 1]);
    /* errors */
    stream(DMA2, 0, 0x10000000, (uint32_t)target, 4, 7, 2u << 13 | 2u << 11 | 1u << 10 | 1u << 9 | 2u << 6);
    wait(&REG(DMA2), 0x28); fact("ccm_isr", REG(DMA2)); fact("ccm_enabled", S(DMA2, 0, CR) & 1);
    stream(DMA2, 0, (uint32_t)source, (uint32_t)target, 4, 4, 1u << 23 | 2u << 13 | 2u << 11 | 1u << 10 | 1u << 9 | 2u << 6);
    fact("bad_burst_isr", REG(DMA2));
    stream(DMA1, 0, (uint32_t)source, (uint32_t)target, 4, 7, 2u << 13 | 2u << 11 | 1u << 10 | 1u << 9 | 2u << 6);
    fact("dma1_m2m", S(DMA1, 0, CR) & 1);
    /* a timer paces */
    REG(0x4000002C) = 999; REG(0x40000028) = 0; REG(0x40000014) = 1; REG(0x40000010) = 0; REG(0x4000000C) = 0x100;
    stream(DMA1, 1, 0x40000024, (uint32_t)target, 16, 0, 3u << 25 | 2u << 13 | 2u << 11 | 1u << 10);
    REG(0x40000000) = 1; while (S(DMA1, 1, NDTR) > 13) { } REG(0x40000000) = 0;
    fact("timer_items", 16 - S(DMA1, 1, NDTR));
    S(DMA1, 1, CR) = 0; fact("abort_isr", REG(DMA1) >> 6 & 0x3F);
    stream(DMA1, 1, 0x40000024, (uint32_t)target, 2, 0, 3u << 25 | 2u << 13 | 2u << 11 | 1u << 10);
    S(DMA1, 1, NDTR) = 7; fact("protected", S(DMA1, 1, NDTR));
    return 0;
}
