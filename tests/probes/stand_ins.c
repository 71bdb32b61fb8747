/* SPDX-License-Identifier: Apache-2.0
 * Blocks no .repl names: window watchdog (RM0090 22), ADC (13), DAC (14), bxCAN (32), SDIO (31), USB OTG (34), ITM.
 *
 * truth: early_refresh=00000001   WWDGRSTF: refreshed above the window, 22.4
 * truth: late=00000002            and when nobody refreshes, behind the early warning
 * truth: warned=00000001
 * truth: wwdg_time=00000001       64 ticks of 4096 * 8 PCLK1 periods: 131 ms at 16 MHz
 * truth: vrefint=000005dd         1.21 V of 3.3 V, 12 bits
 * truth: six_bits=00000017        RES = 3
 * truth: left=00005dd0            ALIGN
 * truth: adc_sr=00000012          STRT and EOC; reading DR takes EOC away
 * truth: adc_after=00000010
 * truth: adc_cycles=00000001      480 + 12 periods of PCLK2 / 2
 * truth: adc_scan=000005dd        second of two ranks by DMA, circular
 * truth: adc_dma_isr=00000030
 * truth: adc_overrun=00000020     EOCS, and nobody reads DR
 * truth: adc_triggered=00000004   TIM2 TRGO starts four conversions
 * truth: injected=000005dd
 * truth: dac_dor=00000abc         DHR at once without a trigger
 * truth: dac_held=00000abc        with one DHR waits
 * truth: dac_software=00000123
 * truth: can_mode=00000c00        normal mode: neither INAK nor SLAK
 * truth: can_tsr=00000003         RQCP0, TXOK0
 * truth: can_fifo=00000001
 * truth: can_id=24600000
 * truth: can_data=44332211
 * truth: can_filtered=00000001    another identifier does not pass
 * truth: can_irq=00000001         FMPIE0
 * truth: can_unanswered=00000030  nobody acknowledges: LEC = 3
 * truth: can_nart=00000009        RQCP0 with TERR0
 * truth: sdio_no_card=00000004    CTIMEOUT
 * truth: sdio_cmd0=00000080       CMDSENT: no answer is wanted
 * truth: otg_reset=80000000       AHBIDL, and CSRST has fallen
 * truth: otg_enumerated=00000000  no USBRST, no ENUMDNE
 * truth: itm_locked=00000000      TCR is behind the lock
 * truth: itm_ready=00000001
 */
#include <stdint.h>
static volatile int interrupts, warned;
static void on_irq(void);
#define ON_IRQ on_irq
#include "probe.h"
#define MARK REG(0x2001F000)
#define ADC(r) REG(0x40012000u + (r))
#define CAN(r) REG(0x40006400u + (r))
#define SDIO(r) REG(0x40012C00u + (r))
#define OTG(r) REG(0x50000000u + (r))
#define CYCLES REG(0xE0001004)
static uint16_t samples[4];
static void on_irq(void)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    if (number == 16) { warned++; REG(0x40002C08) = 0; REG(0x2001F004) = 1; return; }
    interrupts++; CAN(0x0C) = 0x20;
}
static void until(volatile uint32_t *r, uint32_t mask) { for (int i = 0; i < 200000 && !(*r & mask); i++) { } }
static void watchdog(void)
{
    REG(0x40023840) |= 1u << 11;
    if (MARK != 0x57415431 && MARK != 0x57415432) {          /* first life: refresh at once, far above the window */
        MARK = 0x57415431; REG(0x2001F004) = 0;
        REG(0x40002C04) = 0x1C0 | 0x50; REG(0x40002C00) = 0xFF; REG(0x40002C00) = 0xFF;
        for (;;) { }
    }
    if (MARK == 0x57415431) {
        fact("early_refresh", REG(0x40023874) >> 30 & 1);
        REG(0x40023874) |= 1u << 24; MARK = 0x57415432;
        REG(0xE000E100) = 1; REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1;
        REG(0x40002C04) = 0x380 | 0x7F; REG(0x40002C00) = 0xFF; CYCLES = 0;
        for (;;) { REG(0x2001F008) = CYCLES; for (volatile int i = 0; i < 80; i++) { } }
    }
    MARK = 0;
    fact("late", (REG(0x40023874) >> 30 & 1) * 2); fact("warned", REG(0x2001F004));
    uint32_t took = REG(0x2001F008);                          /* 64 ticks, less at most one of the free prescaler */
    fact("wwdg_time", took > 63u * 32768 - 2000 && took <= 64u * 32768 + 2000);
}
static void adc(void)
{
    REG(0x40023844) |= 1u << 8;
    ADC(0x304) = 1u << 23; ADC(0x34) = 17; ADC(0x0C) = 7u << 21; ADC(8) = 1;
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1;
    uint32_t from = CYCLES; ADC(8) |= 1u << 30; until(&ADC(0), 2);
    uint32_t took = CYCLES - from, status = ADC(0);
    fact("vrefint", ADC(0x4C)); fact("six_bits", (ADC(4) = 3u << 24, ADC(8) |= 1u << 30, until(&ADC(0), 2), ADC(0x4C)));
    ADC(4) = 0; ADC(8) |= 1u << 11; ADC(8) |= 1u << 30; until(&ADC(0), 2); fact("left", ADC(0x4C)); ADC(8) &= ~(1u << 11);
    fact("adc_sr", status); fact("adc_after", ADC(0)); fact("adc_cycles", took >= 984 && took < 1100);
    /* two ranks by DMA2 stream 0 channel 0, circular */
    ADC(0) = 0; ADC(8) = 1; ADC(4) = 1u << 8; ADC(0x2C) = 1u << 20; ADC(0x34) = 17u << 5 | 3;
    REG(0x40023830) |= 1u << 22; REG(0x40026408) = 0xFFFFFFFF;
    REG(0x40026418) = 0x4001204C; REG(0x4002641C) = (uint32_t)samples; REG(0x40026414) = 2;
    REG(0x40026410) = 1u << 13 | 1u << 11 | 1u << 10 | 1u << 8 | 1;
    ADC(8) = 1 | 1u << 1 | 3u << 8; ADC(8) |= 1u << 30;
    until(&REG(0x40026400), 0x20); fact("adc_scan", samples[1]); fact("adc_dma_isr", REG(0x40026400));
    ADC(8) = 0; REG(0x40026410) = 0; ADC(0) = 0;
    /* overrun */
    ADC(4) = 0; ADC(8) = 1 | 1u << 10 | 2; ADC(8) |= 1u << 30; until(&ADC(0), 0x20); fact("adc_overrun", ADC(0) & 0x20);
    /* TIM2 TRGO */
    ADC(8) = 0; ADC(0) = 0; ADC(8) = 1 | 1u << 28 | 6u << 24;
    REG(0x40023840) |= 1; REG(0x40000028) = 0; REG(0x4000002C) = 9999; REG(0x40000004) = 0x20; REG(0x40000000) = 1;
    uint32_t count = 0; for (; count < 4; count++) { until(&ADC(0), 2); if (!(ADC(0) & 2)) break; (void)ADC(0x4C); }
    REG(0x40000000) = 0; fact("adc_triggered", count);
    ADC(8) = 1; ADC(0x38) = 17u << 15; ADC(0) = 0; ADC(8) |= 1u << 22; until(&ADC(0), 4); fact("injected", ADC(0x3C));
}
static void can_send(uint32_t id)
{
    CAN(0x188) = 0x44332211; CAN(0x18C) = 0x88776655; CAN(0x184) = 8; CAN(0x180) = id << 21 | 1;
    for (volatile int i = 0; i < 20000; i++) { }
}
static void can(void)
{
    REG(0x40023840) |= 1u << 25;
    CAN(0) = 1; until(&CAN(4), 1); CAN(0x1C) = 1u << 30 | 0x00180003; CAN(0) = 0; while (CAN(4) & 1) { }
    CAN(0x200) |= 1; CAN(0x20C) = 1; CAN(0x240) = 0x123u << 21; CAN(0x244) = 0x7FFu << 21; CAN(0x21C) = 1; CAN(0x200) &= ~1u;
    fact("can_mode", CAN(4) & 0xC03); can_send(0x123);
    fact("can_tsr", CAN(8) & 0xFF); fact("can_fifo", CAN(0xC)); fact("can_id", CAN(0x1B0)); fact("can_data", CAN(0x1B8));
    CAN(8) = 1; can_send(0x124); fact("can_filtered", CAN(0xC) & 3); CAN(0xC) = 0x20;
    CAN(0x14) = 2; REG(0xE000E100) = 1u << 20; interrupts = 0; can_send(0x123); fact("can_irq", interrupts); CAN(0x14) = 0;
    CAN(0) = 1; CAN(0x1C) = 0x00180003; CAN(0) = 0; CAN(8) = 1; can_send(0x123); fact("can_unanswered", CAN(0x18) & 0x70);
    CAN(8) = 0x80; CAN(0) = 1; CAN(0) = 0x10; CAN(8) = 1; can_send(0x123); fact("can_nart", CAN(8) & 0x0F);
}
int main(void)
{
    watchdog();
    adc();
    REG(0x40023840) |= 1u << 29; REG(0x40007400) = 1; REG(0x40007408) = 0xABC; fact("dac_dor", REG(0x4000742C));
    REG(0x40007400) = 1 | 4 | 7u << 3; REG(0x40007408) = 0x123; fact("dac_held", REG(0x4000742C));
    REG(0x40007404) = 1; fact("dac_software", REG(0x4000742C));
    can();
    REG(0x40023844) |= 1u << 11; SDIO(0) = 3; SDIO(4) = 0x176; SDIO(0xC) = 8 | 1u << 6 | 1u << 10;
    until(&SDIO(0x34), 4); fact("sdio_no_card", SDIO(0x34) & 0xFF);
    SDIO(0x38) = 4; SDIO(0xC) = 1u << 10; until(&SDIO(0x34), 0x80); fact("sdio_cmd0", SDIO(0x34) & 0xFF);
    REG(0x40023834) |= 1u << 7; OTG(0x10) |= 1; fact("otg_reset", OTG(0x10)); OTG(0x0C) |= 1u << 30; OTG(0x18) = 0x3000;
    fact("otg_enumerated", OTG(0x14) & 0x3000);
    REG(0xE0000E80) = 1; fact("itm_locked", REG(0xE0000E80));
    REG(0xE0000FB0) = 0xC5ACCE55; REG(0xE0000E80) = 1; REG(0xE0000E00) = 1; fact("itm_ready", REG(0xE0000000));
    for (const char *s = "trace\n"; *s; s++) { while (!REG(0xE0000000)) { } REG8(0xE0000000) = (uint8_t)*s; }
    return 0;
}
