/* SPDX-License-Identifier: Apache-2.0
 * Loops that wait for a register to change; each says how long, to the cycle (ARMv7-M ARM B3.3; RM0090 18.4, 30.3).
 * feed: usart2 0055
 *
 * truth: received=00000055     two characters at 115200 baud
 * truth: systick=00000001      COUNTFLAG every 16000 ticks of HCLK
 * truth: timer=00000001        UIF every 8000
 * truth: compare=00000001      CC1IF at 4000 of them
 * truth: pin=00000001          a handler moves it after 1 ms
 * truth: counted=00000009      a counter beside the look: nothing is left out
 * truth: masked=00000001       PENDSTSET shows what PRIMASK keeps away
 * truth: bit_band=00000001
 * truth: slow_counter=00000001 TIM2 at 1 kHz: the same at most looks, yet no event moves it
 * truth: slow_systick=00000001 HCLK/8
 * truth: calendar=00000001     SSR every 128 of LSI, which is 17 to 47 kHz (data sheet 5.3.9)
 */
#include <stdint.h>
static void on_tick(void);
#define ON_TICK on_tick
#include "probe.h"
static void on_tick(void) { REG(0x40020814) ^= 1; REG(0xE000E010) = 0; }
static uint32_t now(void) { return REG(0xE0001004); }
static int about(uint32_t cycles, uint32_t wanted) { return cycles > wanted - wanted / 50 && cycles < wanted + wanted / 50; }
int main(void)
{
    uint32_t t, n = 0;
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1;
    REG(0x40023840) |= 1u << 17;
    REG(0x40004408) = 0x8B; REG(0x4000440C) = 0x2004;
    while (!(REG(0x40004400) & 0x20)) { }
    (void)REG(0x40004404); while (!(REG(0x40004400) & 0x20)) { } fact("received", REG(0x40004404));
    REG(0xE000E014) = 15999; REG(0xE000E018) = 0; REG(0xE000E010) = 5;
    t = now(); for (int i = 0; i < 10; i++) while (!(REG(0xE000E010) >> 16 & 1)) { }
    fact("systick", about(now() - t, 160000)); REG(0xE000E010) = 0;
    REG(0x40023840) |= 1; REG(0x4000002C) = 7999; REG(0x40000034) = 4000; REG(0x40000000) = 1;
    REG(0x40000010) = 0; t = now();
    for (int i = 0; i < 10; i++) { while (!(REG(0x40000010) & 1)) { } REG(0x40000010) = ~1u; }
    fact("timer", about(now() - t, 80000));
    REG(0x40000010) = 0; t = now(); while (!(REG(0x40000010) & 2)) { } fact("compare", now() - t < 8000); REG(0x40000000) = 0;
    REG(0x40020800) |= 1; REG(0xE000E018) = 0; REG(0xE000E010) = 7; t = now();
    while (!(REG(0x40020810) & 1)) { } fact("pin", about(now() - t, 16000));
    REG(0xE000E018) = 0; REG(0xE000E010) = 5; while (!(REG(0xE000E010) >> 16 & 1)) n++;
    fact("counted", n > 1000 ? 9 : n); REG(0xE000E010) = 0;
    __asm volatile("cpsid i"); REG(0xE000E018) = 0; REG(0xE000E010) = 7; t = now();
    while (!(REG(0xE000ED04) >> 26 & 1)) { } fact("masked", about(now() - t, 16000)); __asm volatile("cpsie i");
    REG(0x40020814) = 0; REG(0xE000E018) = 0; REG(0xE000E010) = 7; t = now();
    while (!REG(0x42410200)) { } fact("bit_band", about(now() - t, 16000));
    REG(0x40000028) = 15999; REG(0x4000002C) = 0xFFFF; REG(0x40000014) = 1; REG(0x40000000) = 1; t = now();
    while (REG(0x40000024) < 10) { } fact("slow_counter", about(now() - t, 160000)); REG(0x40000000) = 0;
    REG(0xE000E014) = 19999; REG(0xE000E018) = 0; REG(0xE000E010) = 1; t = now();
    while (!REG(0xE000E018)) { } while (REG(0xE000E018) > 9999) { } fact("slow_systick", about(now() - t, 80000));
    REG(0xE000E010) = 0; REG(0x40023840) |= 1u << 28; REG(0x40007000) |= 0x100; REG(0x40023874) |= 1;
    while (!(REG(0x40023874) & 2)) { } REG(0x40023870) = 0x8200; while (!(REG(0x4000280C) & 0x20)) { }
    n = REG(0x40002828); while (REG(0x40002828) == n) { } t = now(); n = REG(0x40002828);
    while (REG(0x40002828) == n) { } t = now() - t; fact("calendar", t > 43000 && t < 121000);
    return 0;
}
