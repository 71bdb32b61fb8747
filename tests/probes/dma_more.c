/* SPDX-License-Identifier: Apache-2.0
 * Corners of the DMA streams (RM0090 10.3.5 to 10.3.18, 10.5.5, 10.5.6).
 *
 * truth: rest_of_fifo=00030201     three bytes into words: the rest smaller than MSIZE is written by bytes, 10.3.10
 * truth: rest_neighbour=5a5a5a5a
 * truth: pincos=00000003           PINCOS: the peripheral address moves by words, 10.5.5
 * truth: half_odd=00000001         NDTR of 4 halves: HTIF while two are left, TCIF not yet
 * truth: mem_fixed=00000004        MINC off: each word on the same place
 * truth: periph_fixed=00000001
 * truth: reloaded=00000004         EN again: NDTR comes back by itself, 10.5.6
 * truth: reloaded_last=00000004
 * truth: no_count=00000000         NDTR never written: nothing moves
 * truth: no_count_enabled=00000001
 * truth: flags_stay=00000030       LIFCR alone takes them away
 * truth: flags_gone=00000000
 * truth: fifo_empty=00000021       FS = 100
 * truth: protected_par=00000001    PAR is read only while EN
 * truth: protected_cr=00000001     so are CHSEL, sizes, modes; the enables are not
 * truth: ct_before=00000001        CT may choose the first buffer while EN is 0
 * truth: ct_first=00000077
 * truth: ct_after=00000000
 * truth: idle_buffer=00000001      M1AR may be written while buffer 0 is in use, 10.3.9
 * truth: busy_buffer=00000001      and M0AR not
 * truth: stopped_left=00000001     EN taken back after some items: NDTR says how many are left
 * truth: stopped_flag=00000020     TCIF
 * truth: stopped_irq=00000001      with its interrupt
 * truth: dma1_ahb=00000008         TEIF: the peripheral port of DMA1 sees APB1 only
 * truth: flash_read=00000001       constants come out of flash
 * truth: reserved_gap=00000008     nothing at this address: TEIF
 * truth: half_words=00020001
 */
#include <stdint.h>
static void on_irq(void);
#define ON_IRQ on_irq
#include "probe.h"
#define DMA1 0x40026000u
#define DMA2 0x40026400u
enum { CR, NDTR, PAR, M0AR, M1AR, FCR };
#define S(dma, n, r) REG((dma) + 0x10 + 0x18 * (n) + 4 * (r))
static volatile int interrupts;
static void on_irq(void) { interrupts++; REG(DMA1 + 8) = 0x3Fu << 6; (void)REG(DMA1); }
static const uint32_t words[4] = {1, 2, 3, 4};
static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static uint32_t target[8];
static void stream(uint32_t dma, int n, uint32_t par, uint32_t mem, uint32_t count, uint32_t fcr, uint32_t cr)
{
    S(dma, n, CR) = 0; REG(dma + 8) = REG(dma + 12) = 0xFFFFFFFF;
    S(dma, n, PAR) = par; S(dma, n, M0AR) = mem; S(dma, n, NDTR) = count; S(dma, n, FCR) = fcr;
    S(dma, n, CR) = cr; S(dma, n, CR) = cr | 1;
}
static void wait(uint32_t mask) { for (int i = 0; i < 20000 && !(REG(DMA2) & mask); i++) { } }
static void clear(void) { for (int i = 0; i < 8; i++) target[i] = 0x5A5A5A5A; }
#define M2M (2u << 6)
#define W2W (2u << 13 | 2u << 11)
#define INC (3u << 9)
int main(void)
{
    REG(0x40023830) |= 3u << 21; REG(0x40023840) |= 1;
    clear();
    stream(DMA2, 0, (uint32_t)bytes, (uint32_t)target, 3, 7, 2u << 13 | INC | M2M); wait(0x20);
    fact("rest_of_fifo", target[0] & 0xFFFFFF); fact("rest_neighbour", target[1]);
    clear();
    /* bytes out of three neighbouring words: 01, 02, 03 are their low bytes */
    stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 3, 7, 1u << 15 | INC | M2M); wait(0x20);
    fact("pincos", ((uint8_t *)target)[2]);
    REG(0x4000002C) = 99; REG(0x40000028) = 0; REG(0x40000014) = 1; REG(0x40000010) = 0; REG(0x4000000C) = 0x100;
    stream(DMA1, 1, 0x40000024, (uint32_t)target, 4, 0, 3u << 25 | W2W | 1u << 10);
    REG(0x40000000) = 1; uint32_t seen = 0;
    for (int i = 0; i < 5000 && !(REG(DMA1) >> 11 & 1); i++) if ((REG(DMA1) >> 6 & 0x30) == 0x10 && S(DMA1, 1, NDTR) == 2) seen = 1;
    REG(0x40000000) = 0; fact("half_odd", seen);
    clear();
    stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 4, 7, W2W | 1u << 9 | M2M); wait(0x20);
    fact("mem_fixed", target[0] == 4 && target[1] == 0x5A5A5A5A ? 4 : 0);
    clear();
    stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 4, 7, W2W | 1u << 10 | M2M); wait(0x20);
    fact("periph_fixed", target[3]);
    clear();
    stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 4, 7, W2W | INC | M2M); wait(0x20);
    clear(); REG(DMA2 + 8) = 0x3F; S(DMA2, 0, CR) |= 1; fact("reloaded", S(DMA2, 0, NDTR)); wait(0x20);
    fact("reloaded_last", target[3]);
    REG(0x40023810) = 1u << 22; REG(0x40023810) = 0;
    stream(DMA2, 4, (uint32_t)words, (uint32_t)target, 0, 7, W2W | INC | M2M);
    for (volatile int i = 0; i < 50; i++) { }
    fact("no_count", REG(DMA2 + 4)); fact("no_count_enabled", S(DMA2, 4, CR) & 1); S(DMA2, 4, CR) = 0;
    stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 4, 7, W2W | INC | M2M); wait(0x20);
    S(DMA2, 0, CR) = 0; fact("flags_stay", REG(DMA2)); REG(DMA2 + 8) = 0x3F; fact("flags_gone", REG(DMA2));
    REG(0x40023810) = 1u << 22; REG(0x40023810) = 0; S(DMA2, 3, FCR) = 0x21; fact("fifo_empty", S(DMA2, 3, FCR));
    /* a stream that waits for a timer which stands */
    stream(DMA1, 1, 0x40000024, (uint32_t)target, 4, 0, 3u << 25 | W2W | 1u << 10);
    S(DMA1, 1, PAR) = 0x40000000; fact("protected_par", S(DMA1, 1, PAR) == 0x40000024);
    S(DMA1, 1, CR) = 5u << 25 | 1 | 1u << 4; fact("protected_cr", S(DMA1, 1, CR) == (3u << 25 | W2W | 1u << 10 | 1 | 1u << 4));
    S(DMA1, 1, CR) = 0;
    /* double buffer that begins with the second one */
    clear(); REG(0x40000034) = 0x77; S(DMA1, 1, M1AR) = (uint32_t)(target + 4);
    stream(DMA1, 1, 0x40000034, (uint32_t)target, 2, 0, 3u << 25 | W2W | 1u << 18 | 1u << 19 | 1u << 10);
    fact("ct_before", S(DMA1, 1, CR) >> 19 & 1); REG(0x40000000) = 1;
    for (int i = 0; i < 5000 && S(DMA1, 1, CR) >> 19 & 1; i++) { }
    REG(0x40000000) = 0;
    fact("ct_first", target[5]); fact("ct_after", S(DMA1, 1, CR) >> 19 & 1);
    S(DMA1, 1, M1AR) = (uint32_t)(target + 2); fact("idle_buffer", S(DMA1, 1, M1AR) == (uint32_t)(target + 2));
    S(DMA1, 1, M0AR) = (uint32_t)(target + 2); fact("busy_buffer", S(DMA1, 1, M0AR) == (uint32_t)target);
    S(DMA1, 1, CR) = 0; while (S(DMA1, 1, CR) & 1) { }
    REG(DMA1 + 8) = 0xFFFFFFFF;
    stream(DMA1, 1, 0x40000024, (uint32_t)target, 200, 0, 3u << 25 | W2W | 1u << 4);
    REG(0xE000E100) = 1u << 12; interrupts = 0; REG(0x40000000) = 1; while (S(DMA1, 1, NDTR) > 195) { } REG(0x40000000) = 0;
    uint32_t left = S(DMA1, 1, NDTR); REG(0xE000E180) = 1u << 12; S(DMA1, 1, CR) &= ~1u; while (S(DMA1, 1, CR) & 1) { }
    fact("stopped_left", S(DMA1, 1, NDTR) == left || S(DMA1, 1, NDTR) + 1 == left); fact("stopped_flag", REG(DMA1) >> 6 & 0x3D);
    REG(0xE000E100) = 1u << 12; __asm volatile("dsb\n isb"); fact("stopped_irq", interrupts); REG(0xE000E180) = 1u << 12;
    stream(DMA1, 1, 0x40020014, (uint32_t)target, 4, 0, 3u << 25 | W2W); REG(0x40000014) = 1; REG(0x40000000) = 1;
    for (volatile int i = 0; i < 500; i++) { }
    REG(0x40000000) = 0; fact("dma1_ahb", REG(DMA1) >> 6 & 0xF);
    clear(); stream(DMA2, 0, 0x08000000, (uint32_t)target, 1, 7, W2W | INC | M2M); wait(0x20); fact("flash_read", target[0] == REG(0x08000000));
    stream(DMA2, 0, 0x30000000, (uint32_t)target, 1, 7, W2W | INC | M2M); wait(0x28); fact("reserved_gap", REG(DMA2) & 8);
    clear(); stream(DMA2, 0, (uint32_t)words, (uint32_t)target, 4, 7, 1u << 13 | 2u << 11 | INC | M2M); wait(0x20);
    fact("half_words", (uint32_t)((uint16_t *)target)[0] | (uint32_t)((uint16_t *)target)[2] << 16);
    return 0;
}
