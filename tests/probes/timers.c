/* SPDX-License-Identifier: Apache-2.0
 * General purpose timers (RM0090 17.3, 18.3, 18.4).
 * virtual seconds: 2
 *
 * truth: opm_stops=00000000        one-pulse: CEN falls at the update event, 18.3.10
 * truth: opm_count=00000000
 * truth: opm_flag=00000001
 * truth: down_start=00000064       UG loads ARR into a counter that counts down
 * truth: down_flag=00000001
 * truth: arpe_waits=00000001       ARR behind its preload: the old period ends first
 * truth: psc_waits=00000001        PSC always waits for the update event
 * truth: urs_ug=00000000           URS: UG raises no UIF
 * truth: udis=00000000             UDIS: no update event
 * truth: ug_flag=00000001
 * truth: oc_preload=00000000       OC1PE: the new CCR1 counts after the next update event
 * truth: oc_preload_after=00000002
 * truth: oc_direct=00000002        without OC1PE at once
 * truth: rcr=00000001              TIM1: one update in RCR + 1 overflows
 * truth: width16=00001234          TIM3 has 16 bits
 * truth: width32=12345678          TIM2 has 32
 * truth: sr_rc_w0=00000002         a one written to SR changes nothing
 * truth: egr_cc=00000002           CC1G
 * truth: cc1g_captures=00000001    of an input channel: it captures the counter
 * truth: prescaler=00000001        PSC 15 of 16 MHz: 1 us
 * truth: apb_div=00000001          APB1 prescaler not 1: the timer runs at twice PCLK1, 7.2
 * truth: irq_count=00000005
 * truth: capture_rising=00000001   an edge of the pin, software drives it itself
 * truth: capture_value=00000001
 * truth: capture_over=00000200     CC1OF: captured again before it was read
 * truth: capture_read=00000000     reading CCR1 clears CC1IF
 * truth: capture_divided=00000001  IC1PSC: every second edge only
 * truth: encoder_up=00000004       both inputs, each edge counts, 18.3.12
 * truth: encoder_dir=00000000
 * truth: encoder_down=0000fffe
 * truth: encoder_dir_down=00000010
 * truth: encoder_ti1=00000002      SMS 2: edges of TI1 only
 * truth: external=00000003         SMS 7, TI1FP1: rising edges
 * truth: reset_mode=00000001       SMS 4: an edge clears the counter
 * truth: gated=00000001            SMS 5: it stands while TI1 is low
 * truth: trigger_mode=00000001     SMS 6: the edge sets CEN
 * truth: tif=00000040
 */
#include <stdint.h>
static void on_irq(void);
#define ON_IRQ on_irq
#include "probe.h"
enum { CR1 = 0, CR2 = 4, SMCR = 8, DIER = 12, SR = 16, EGR = 20, CCMR1 = 24, CCMR2 = 28, CCER = 32, CNT = 36, PSC = 40, ARR = 44, RCR = 48, CCR1 = 52 };
#define T(n, r) REG((n) + (r))
#define TIM1 0x40010000u
#define TIM2 0x40000000u
#define TIM3 0x40000400u
static volatile int irqs;
static void on_irq(void) { irqs++; T(TIM2, SR) = 0; (void)T(TIM2, SR); }
static uint32_t now(void) { return REG(0xE0001004); }
static void fresh(void) { REG(0x40023820) = 3; REG(0x40023820) = 0; REG(0x40023824) = 1; REG(0x40023824) = 0; for (volatile uint32_t r = 0; r < 0x44; r += 4) { if (r != SR && r != EGR) T(TIM2, r) = r == ARR ? 0xFFFFFFFF : 0; } T(TIM2, EGR) = 1; T(TIM2, SR) = 0; }
static void pause(int n) { for (volatile int i = 0; i < n; i++) { } }
/* PA0 = TIM2_CH1, PA1 = TIM2_CH2: open pins, so their pulls decide */
static void pin(int n, int level) { REG(0x4002000C) = (REG(0x4002000C) & ~(3u << 2 * n)) | (level ? 1u : 2u) << 2 * n; (void)REG(0x40020010); pause(3); }
static void quadrature(int steps)
{
    static const uint8_t a[4] = {0, 1, 1, 0}, b[4] = {0, 0, 1, 1}; static int at;
    for (; steps; steps += steps < 0 ? 1 : -1) { at = (at + (steps > 0 ? 1 : 3)) & 3; pin(0, a[at]); pin(1, b[at]); }
}
int main(void)
{
    uint32_t t, v;
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1; REG(0x40023840) |= 3; REG(0x40023844) |= 1;
    fresh(); T(TIM2, ARR) = 99; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, CR1) = 9; pause(400);
    fact("opm_stops", T(TIM2, CR1) & 1); fact("opm_count", T(TIM2, CNT)); fact("opm_flag", T(TIM2, SR) & 1);
    fresh(); T(TIM2, ARR) = 100; T(TIM2, CR1) = 0x10; T(TIM2, EGR) = 1; fact("down_start", T(TIM2, CNT)); T(TIM2, SR) = 0; T(TIM2, CR1) = 0x11; pause(300); fact("down_flag", T(TIM2, SR) & 1);
    fresh(); T(TIM2, CR1) = 0x80; T(TIM2, ARR) = 9999; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, ARR) = 99; t = now(); T(TIM2, CR1) = 0x81; while (!(T(TIM2, SR) & 1)) { } t = now() - t; fact("arpe_waits", t > 9000 && t < 11000);
    fresh(); T(TIM2, ARR) = 999; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, PSC) = 9; t = now(); T(TIM2, CR1) = 1; while (!(T(TIM2, SR) & 1)) { } t = now() - t; fact("psc_waits", t < 2000);
    fresh(); T(TIM2, CR1) = 4; T(TIM2, EGR) = 1; fact("urs_ug", T(TIM2, SR) & 1);
    fresh(); T(TIM2, ARR) = 99; T(TIM2, CR1) = 3; pause(200); fact("udis", T(TIM2, SR) & 1);
    fresh(); T(TIM2, EGR) = 1; fact("ug_flag", T(TIM2, SR) & 1);
    fresh(); T(TIM2, ARR) = 9999; T(TIM2, CCMR1) = 0x68; T(TIM2, CCR1) = 20000; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, CCR1) = 5000; T(TIM2, CR1) = 1; while (!(T(TIM2, SR) & 1)) { } fact("oc_preload", T(TIM2, SR) & 2);
    T(TIM2, SR) = 0; while (!(T(TIM2, SR) & 1)) { } fact("oc_preload_after", T(TIM2, SR) & 2);
    fresh(); T(TIM2, ARR) = 9999; T(TIM2, CCMR1) = 0x60; T(TIM2, CCR1) = 20000; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, CCR1) = 5000; T(TIM2, CR1) = 1; while (!(T(TIM2, SR) & 1)) { } fact("oc_direct", T(TIM2, SR) & 2);
    T(TIM1, ARR) = 999; T(TIM1, RCR) = 4; T(TIM1, EGR) = 1; T(TIM1, SR) = 0; t = now(); T(TIM1, CR1) = 1; while (!(T(TIM1, SR) & 1)) { } t = now() - t; fact("rcr", t > 4900 && t < 5400); T(TIM1, CR1) = 0;
    T(TIM3, CNT) = 0xABCD1234; fact("width16", T(TIM3, CNT)); fresh(); T(TIM2, CNT) = 0x12345678; fact("width32", T(TIM2, CNT));
    fresh(); T(TIM2, EGR) = 3; T(TIM2, SR) = ~1u; fact("sr_rc_w0", T(TIM2, SR)); fresh(); T(TIM2, EGR) = 2; fact("egr_cc", T(TIM2, SR));
    fresh(); T(TIM2, CCMR1) = 1; T(TIM2, CNT) = 77; T(TIM2, EGR) = 2; fact("cc1g_captures", T(TIM2, CCR1) == 77);
    fresh(); T(TIM2, PSC) = 15; T(TIM2, EGR) = 1; t = now(); T(TIM2, CR1) = 1; while (T(TIM2, CNT) < 100) { } t = now() - t; fact("prescaler", t > 1580 && t < 1700);
    REG(0x40023808) |= 5u << 10; fresh(); t = now(); T(TIM2, CR1) = 1; v = T(TIM2, CNT); while (now() - t < 16000) { } v = T(TIM2, CNT) - v; fact("apb_div", v > 7900 && v < 8200); REG(0x40023808) &= ~(7u << 10);
    fresh(); T(TIM2, ARR) = 999; T(TIM2, EGR) = 1; T(TIM2, SR) = 0; T(TIM2, DIER) = 1; REG(0xE000E100) = 1u << 28; irqs = 0; T(TIM2, CR1) = 1; while (irqs < 5) { } T(TIM2, CR1) = 0; fact("irq_count", irqs); T(TIM2, DIER) = 0;
    REG(0x40020020) = 0x11; REG(0x40020000) = (REG(0x40020000) & ~0xFu) | 0xA; pin(0, 0); pin(1, 0);
    fresh(); T(TIM2, CCMR1) = 1; T(TIM2, CCER) = 1; T(TIM2, CR1) = 1; pause(20); pin(0, 1); fact("capture_rising", T(TIM2, SR) >> 1 & 1); v = T(TIM2, CCR1); fact("capture_value", v > 5 && v <= T(TIM2, CNT));
    fact("capture_read", T(TIM2, SR) & 2);
    pin(0, 0); pin(0, 1); pin(0, 0); pin(0, 1); fact("capture_over", T(TIM2, SR) & 0x200);
    fresh(); pin(0, 0); T(TIM2, CCMR1) = 1 | 1 << 2; T(TIM2, CCER) = 1; T(TIM2, CR1) = 1; T(TIM2, SR) = 0; v = 0;
    for (int i = 0; i < 2; i++) { pin(0, 1); pin(0, 0); if (T(TIM2, SR) & 2) { v++; (void)T(TIM2, CCR1); } } fact("capture_divided", v);
    fresh(); pin(0, 0); pin(1, 0); T(TIM2, ARR) = 0xFFFF; T(TIM2, CCMR1) = 0x101; T(TIM2, SMCR) = 3; T(TIM2, CR1) = 1; quadrature(4); fact("encoder_up", T(TIM2, CNT)); fact("encoder_dir", T(TIM2, CR1) & 0x10);
    quadrature(-6); fact("encoder_down", T(TIM2, CNT)); fact("encoder_dir_down", T(TIM2, CR1) & 0x10);
    fresh(); T(TIM2, ARR) = 0xFFFF; T(TIM2, CCMR1) = 0x101; T(TIM2, SMCR) = 2; T(TIM2, CR1) = 1; quadrature(4); fact("encoder_ti1", T(TIM2, CNT));
    fresh(); pin(0, 0); T(TIM2, CCMR1) = 1; T(TIM2, SMCR) = 0x57; T(TIM2, CR1) = 1; for (int i = 0; i < 3; i++) { pin(0, 1); pin(0, 0); } fact("external", T(TIM2, CNT));
    fresh(); T(TIM2, CCMR1) = 1; T(TIM2, SMCR) = 0x54; T(TIM2, CR1) = 1; pause(300); v = T(TIM2, CNT); pin(0, 1); fact("reset_mode", T(TIM2, CNT) < v && v > 100); pin(0, 0);
    fresh(); T(TIM2, CCMR1) = 1; T(TIM2, SMCR) = 0x55; T(TIM2, CR1) = 1; v = T(TIM2, CNT); pause(50); v = T(TIM2, CNT) - v; pin(0, 1); pause(50); fact("gated", !v && T(TIM2, CNT) > 20); pin(0, 0);
    fresh(); T(TIM2, CCMR1) = 1; T(TIM2, SMCR) = 0x56; v = T(TIM2, CR1) & 1; pin(0, 1); fact("trigger_mode", !v && T(TIM2, CR1) & 1); fact("tif", T(TIM2, SR) & 0x40);
    return 0;
}
