/* SPDX-License-Identifier: Apache-2.0 */
/* System clock and time base (RCC, PWR, SysTick). */
#ifndef CLOCK_H
#define CLOCK_H
#include <stdbool.h>
#include <stdint.h>

enum clock_source { CLOCK_HSE_PLL, CLOCK_HSI_PLL, CLOCK_HSI };

/* 168 MHz from the 8 MHz crystal; without it 168 MHz from HSI; without PLL lock 16 MHz HSI. Starts SysTick at 1 kHz. */
enum clock_source clock_init(void);
uint32_t clock_apb1_hz(void);
uint32_t clock_apb2_hz(void);

uint32_t time_ms(void); /* since clock_init, wraps after 49.7 days */
uint64_t time_us(void); /* since clock_init, never wraps */

void cpu_idle(void);        /* sleep until the next interrupt: at most 1 ms because of SysTick */
void delay_ms(uint32_t ms); /* at least ms milliseconds, asleep; not from interrupts */

/* A point in time; right across the wrap of time_ms for spans below 24 days. */
typedef uint32_t deadline_t;
/* one more, because the current millisecond is partly over */
static inline deadline_t deadline_in(uint32_t ms)
{
    return time_ms() + ms + 1u;
}
static inline bool deadline_passed(deadline_t d)
{
    return (int32_t)(time_ms() - d) >= 0;
}
#endif
