/* SPDX-License-Identifier: Apache-2.0
 * RTC alarms with their masks, and what guards the backup domain (RM0090 5.1.3, 6.3.20, 26.3.5 to 26.3.8, 26.6).
 *
 * virtual seconds: 2
 * truth: bkp_locked=00000000      DBP = 0: nothing is written
 * truth: bdcr_locked=00000000
 * truth: bkp=5afe0001
 * truth: rtcsel_once=00000200     RTCSEL is kept until BDRST
 * truth: wpr_closed=00000000      no key
 * truth: wpr_wrong=00000000       a wrong second key
 * truth: prer=000000f9
 * truth: initf=00000001
 * truth: inits=00000010
 * truth: tr=00235957
 * truth: awf_on=00000000          ALRAWF is 0 while the alarm is on
 * truth: awf_off=00000001
 * truth: alarm_locked=00235959    ALRMAR is not written while ALRAE
 * truth: alarm_a=00235959         at the time it names
 * truth: alarm_a_exti=00020000    line 17
 * truth: next_day=00130101        over midnight, and a leap year's end
 * truth: every_second=00000003
 * truth: weekday=00000001         WDSEL
 * truth: other_weekday=00000000
 * truth: subsecond=00000001       once a second, at SS = 100
 * truth: subsecond_ssr=00000064
 * truth: masked_subsecond=00000008 MASKSS = 5: five bits of SSR, eight times in 250
 * truth: this_second=00000001     switched on in the second it names, before its SS
 * truth: hours12=00510000         11 PM
 * truth: alarm_pm=00000001
 * truth: sub1h=00500000
 * truth: add1h=00510000
 * truth: shift=00000001           ADD1S
 * truth: bkp_after=5afe0001
 * truth: boots=00000002           a system reset leaves calendar and backup registers
 * truth: still=00000001
 * truth: prer_still=000000f9
 * truth: bdrst_bkp=00000000       BDRST clears them, and the clock selection
 * truth: bdrst_bdcr=00000000
 * truth: bdrst_prer=007f00ff
 */
#include "probe.h"
#define RTC 0x40002800
#define TR REG(RTC)
#define DR REG(RTC + 4)
#define CR REG(RTC + 8)
#define ISR REG(RTC + 12)
#define SSR REG(RTC + 0x28)
static void keys(void) { REG(RTC + 0x24) = 0xCA; REG(RTC + 0x24) = 0x53; }
static void pause(void) { for (volatile int i = 0; i < 60; i++) { } }   /* each look costs the host time */
static uint32_t sub(void) { pause(); uint32_t s = SSR; (void)TR; (void)DR; return s; }
static uint32_t now(void) { pause(); uint32_t t = TR; (void)DR; return t; }
static void set_time(uint32_t time, uint32_t date, uint32_t fmt)
{
    ISR |= 0x80; while (!(ISR & 0x40)) { }
    CR = (CR & ~0x40u) | fmt | 0x20; REG(RTC + 0x10) = 0xF9; REG(RTC + 0x10) = 0x0000F9; TR = time; DR = date; ISR &= ~0x80u;
}
static void alarm_off(void) { CR &= ~0x3300u; ISR = (uint32_t)~0x300 & ~0x80u; }
static void alarm_a(uint32_t alarm, uint32_t subsecond)
{
    alarm_off(); REG(RTC + 0x1C) = alarm; REG(RTC + 0x44) = subsecond; CR |= 0x1100;
}
static uint32_t count(uint32_t seconds)      /* alarms from the start of a second on */
{
    uint32_t n = 0, left = seconds, last = now() & 0x7F;
    while ((now() & 0x7F) == last) { } ISR = (uint32_t)~0x100 & ~0x80u; last = now() & 0x7F; uint32_t first = 1;
    while (left) {
        if (ISR & 0x100) { n++; ISR = (uint32_t)~0x100 & ~0x80u; }
        if ((now() & 0x7F) != last) { last = now() & 0x7F; left--; }
    }
    (void)first; return n + (ISR >> 8 & 1);
}
int main(void)
{
    REG(0x40023840) |= 1u << 28;
    if (REG(0x40023874) & 1u << 28) {             /* SFTRSTF: the second start */
        REG(0x40007000) |= 0x100;
        fact("bkp_after", REG(RTC + 0x50)); fact("boots", REG(RTC + 0x54)); fact("still", now() == REG(RTC + 0x58) || now() == REG(RTC + 0x58) + 1);
        fact("prer_still", REG(RTC + 0x10));
        REG(0x40023870) |= 1u << 16; REG(0x40023870) &= ~(1u << 16);
        fact("bdrst_bkp", REG(RTC + 0x50)); fact("bdrst_bdcr", REG(0x40023870)); fact("bdrst_prer", REG(RTC + 0x10));
        return 0;
    }
    REG(RTC + 0x50) = 1; fact("bkp_locked", REG(RTC + 0x50));
    REG(0x40023870) |= 0x8200; fact("bdcr_locked", REG(0x40023870));
    REG(0x40007000) |= 0x100;
    REG(RTC + 0x50) = 0x5AFE0001; fact("bkp", REG(RTC + 0x50)); REG(RTC + 0x54) = 2;
    REG(0x40023874) |= 1; while (!(REG(0x40023874) & 2)) { }
    REG(0x40023870) |= 0x200; REG(0x40023870) |= 0x8100; fact("rtcsel_once", REG(0x40023870) & 0x300);
    CR = 0x20; fact("wpr_closed", CR); REG(RTC + 0x24) = 0xCA; REG(RTC + 0x24) = 0x54; CR = 0x20; fact("wpr_wrong", CR);
    keys(); set_time(0x235957, 0x123231, 0); while (!(ISR & 0x20)) { }
    fact("prer", REG(RTC + 0x10)); fact("initf", !(ISR & 0x40)); fact("inits", ISR & 0x10); fact("tr", now());
    REG(0x40013C00) |= 1u << 17; REG(0x40013C08) |= 1u << 17;
    alarm_a(0x80235959, 0); fact("awf_on", ISR & 1); REG(RTC + 0x1C) = 0; fact("alarm_locked", REG(RTC + 0x1C) & 0xFFFFFF);
    while (!(ISR & 0x100)) pause(); fact("alarm_a", now()); fact("alarm_a_exti", REG(0x40013C14)); REG(0x40013C14) = 1u << 17;
    alarm_off(); fact("awf_off", ISR & 1);
    while (now() != 0) { } { uint32_t d = DR; fact("next_day", d & 0xFF1F3F); }
    alarm_a(0x80808080, 0); fact("every_second", count(3));
    uint32_t day = DR >> 13 & 7;
    alarm_a(0x40808080 | day << 24, 0); fact("weekday", count(1)); alarm_a(0x40808080 | (day % 7 + 1) << 24, 0); fact("other_weekday", count(1));
    alarm_a(0x80808080, 0x0F000064); fact("subsecond", count(1));
    ISR = (uint32_t)~0x100 & ~0x80u; while (!(ISR & 0x100)) pause(); fact("subsecond_ssr", sub());
    alarm_a(0x80808080, 0x05000003); fact("masked_subsecond", count(1));
    while (sub() < 200) { } while (sub() > 199) { }
    { uint32_t t = now(); alarm_a(0x80000000 | t, 0x0F000032); while (now() == t && !(ISR & 0x100)) { } fact("this_second", ISR >> 8 & 1); }
    alarm_off(); set_time(0x510000 - 0, 0x123231, 0x40); fact("hours12", now() & 0xFFFF00);
    alarm_a(0x80510002, 0); { uint32_t i = 0; while (!(ISR & 0x100) && now() < 0x510005) i++; } fact("alarm_pm", ISR >> 8 & 1); alarm_off();
    CR |= 1u << 17; fact("sub1h", now() & 0xFFFF00); CR |= 1u << 16; fact("add1h", now() & 0xFFFF00);
    { uint32_t t = now(); REG(RTC + 0x2C) = 0x80000000; fact("shift", now() - t == 1); }
    REG(RTC + 0x58) = now();
    REG(0xE000ED0C) = 0x05FA0004;
    for (;;) { }
}
