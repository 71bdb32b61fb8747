/* SPDX-License-Identifier: Apache-2.0
 * USART modes and the sequences that clear its flags (RM0090 30.3, 30.6).
 * feed: usart2 4142434445
 * virtual seconds: 2
 *
 * truth: reset_sr=000000c0         TC and TXE, 30.6.1
 * truth: first=00000041
 * truth: ore=00000028              RXNE and ORE: the newer bytes are lost
 * truth: ore_first_kept=00000042   the older one stays
 * truth: ore_gone=00000000         by SR, then DR
 * truth: idle=00000010             the line is idle for a character
 * truth: idle_gone=00000000        by SR, then DR
 * truth: idle_once=00000000        not again before something came
 * truth: rxne_w0=00000000          RXNE is rc_w0
 * truth: tc_w0=00000000
 * truth: over8=00000001            8 times oversampling: half the divider for the same time
 * truth: two_stop=00000001         STOP = 10: eleven bits
 * truth: nine_bits=00000001        M
 * truth: half_duplex=000000a5      HDSEL: the receiver hears its own transmitter, 30.3.10
 * truth: half_duplex_ne=00000020
 * truth: sbk_clears=00000000       SBK falls in the stop bit of the break
 * truth: mute_hears=00000000       RWU: nothing before an idle line
 * truth: txe_after_dr=00000080     DR moves on to the shift register at once
 * truth: txe_full=00000000
 * truth: irq_txe=00000001
 * truth: te_off=00000001           UE = 0: nothing is sent, TC stays
 * truth: cr1_reserved=00000000
 */
#include <stdint.h>
static void on_irq(void);
#define ON_IRQ on_irq
#include "probe.h"
#define U2 0x40004400u
#define SR REG(U2)
#define DR REG(U2 + 4)
#define BRR REG(U2 + 8)
#define CR1 REG(U2 + 12)
#define CR2 REG(U2 + 16)
#define CR3 REG(U2 + 20)
static volatile int irqs;
static void on_irq(void) { irqs++; CR1 &= ~0x80u; }
static uint32_t now(void) { return REG(0xE0001004); }
static void ms(int n) { uint32_t t = now(); while (now() - t < 16000u * n) { } }
static uint32_t sent(void) { uint32_t t = now(); DR = '\n'; while (!(SR & 0x40)) { for (volatile int i = 0; i < 3; i++) (void)BRR; } return now() - t; }
int main(void)
{
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1; REG(0x40023840) |= 1u << 17;
    uint32_t s, t;
    fact("reset_sr", SR); BRR = 0x8B; CR1 = 0x200C;
    while (!(SR & 0x20)) { }
    s = DR; fact("first", s);
    ms(1); t = SR; fact("ore", t & 0x28); s = DR; fact("ore_first_kept", s); fact("ore_gone", SR & 0x28);
    fact("idle", t & 0x10); fact("idle_gone", SR & 0x10); ms(1); fact("idle_once", SR & 0x10);
    SR = ~0x20u; fact("rxne_w0", SR & 0x20); SR = ~0x40u; fact("tc_w0", SR & 0x40);
    s = sent(); CR1 = 0; BRR = 17 << 4 | 3; CR1 = 0xA00C; t = sent(); fact("over8", t > s - 150 && t < s + 150); CR1 = 0;
    BRR = 0x8B; CR2 = 2u << 12; CR1 = 0x200C; t = sent(); fact("two_stop", t > s + 100 && t < s + 180); CR2 = 0;
    CR1 = 0x300C; t = sent(); fact("nine_bits", t > s + 100 && t < s + 180);
    CR1 = 0; CR3 = 8; CR1 = 0x200C; (void)SR; (void)DR; DR = 0xA5; ms(1); s = SR; fact("half_duplex", DR); fact("half_duplex_ne", s & 0x20); CR1 = 0; CR3 = 0;
    CR1 = 0x200D; ms(1); fact("sbk_clears", CR1 & 1);
    CR1 = 0x200E; fact("mute_hears", SR & 0x20);
    CR1 = 0x2008; while (!(SR & 0x40)) { } DR = 1; fact("txe_after_dr", SR & 0x80); DR = 2; fact("txe_full", SR & 0x80); ms(1);
    REG(0xE000E104) = 1u << 6; CR1 = 0x2088; for (volatile int i = 0; i < 20; i++) { } fact("irq_txe", irqs);
    CR1 = 0; fact("te_off", SR >> 6 & 1); CR1 = 0x4000; fact("cr1_reserved", CR1);
    return 0;
}
