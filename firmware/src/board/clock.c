/* SPDX-License-Identifier: Apache-2.0 */
/* Clock tree and SysTick time base. RM0090 7.2 (clocks), 3.5.1 (wait states), 5.4.1 (VOS); PM0214 4.5 (SysTick). */
#include "board/clock.h"
#include "board/stm32f405.h"

enum { HSI_HZ = 16000000, PLL_HZ = 168000000, HSE_START_MS = 100, PLL_LOCK_MS = 10, SWITCH_MS = 10 };

static volatile uint32_t milliseconds;
static volatile uint32_t wraps; /* of milliseconds */
static uint32_t core_hz = HSI_HZ;

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    if (++milliseconds == 0)
        wraps++;
}

static void systick_start(uint32_t hz)
{
    core_hz = hz;
    SYSTICK->CTRL = 0;
    SYSTICK->LOAD = hz / 1000u - 1u;
    SYSTICK->VAL = 0;
    SYSTICK->CTRL = SYSTICK_CTRL_CLKSOURCE | SYSTICK_CTRL_TICKINT | SYSTICK_CTRL_ENABLE;
}

static bool await(const reg32 *where, uint32_t mask, uint32_t wanted, uint32_t ms)
{
    for (deadline_t end = deadline_in(ms); (*where & mask) != wanted; cpu_idle())
        if (deadline_passed(end))
            return (*where & mask) == wanted;
    return true;
}

/* 7.3.2: PLL input must be 1..2 MHz (2 recommended for jitter, 1 divides both sources here): 1 MHz * 336 / 2 = 168 MHz,
 * 336 / 7 = 48 MHz for the RNG. */
static bool pll_start(uint32_t input_mhz, uint32_t source)
{
    RCC->CR &= ~RCC_CR_PLLON;
    if (!await(&RCC->CR, RCC_CR_PLLRDY, 0, PLL_LOCK_MS))
        return false;
    RCC->PLLCFGR = (RCC->PLLCFGR & ~RCC_PLLCFGR_FIELDS) | source | input_mhz << RCC_PLLCFGR_PLLM_Pos |
                   336u << RCC_PLLCFGR_PLLN_Pos | 0u << RCC_PLLCFGR_PLLP_Pos |
                   7u << RCC_PLLCFGR_PLLQ_Pos; /* PLLP 0 divides by 2 */
    RCC->CR |= RCC_CR_PLLON;
    return await(&RCC->CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, PLL_LOCK_MS);
}

enum clock_source clock_init(void)
{
    enum clock_source source = CLOCK_HSE_PLL;
    ((volatile uint8_t *)SCB->SHPR)[15 - 4] = PRIORITY_SYSTICK << 4;
    systick_start(HSI_HZ);

    RCC->APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC->APB1ENR;    /* 7.2.14 and errata: a clock needs two cycles before its first use */
    PWR->CR |= PWR_CR_VOS; /* scale 1, demanded above 144 MHz */

    RCC->CR |= RCC_CR_HSEON;
    if (!await(&RCC->CR, RCC_CR_HSERDY, RCC_CR_HSERDY, HSE_START_MS) || !pll_start(8, RCC_PLLCFGR_PLLSRC_HSE)) {
        RCC->CR &= ~RCC_CR_PLLON; /* PLLSRC and HSEON may only change with the PLL off */
        source = pll_start(16, 0) ? CLOCK_HSI_PLL : CLOCK_HSI;
        RCC->CR &= ~RCC_CR_HSEON;
    }
    if (source == CLOCK_HSI)
        return source;

    /* 5 wait states for 150..168 MHz at 2.7..3.6 V, before the switch. Prefetch stays off: it is broken on revision A
     * (errata sheet ES0182), and the instruction cache does most of its work. */
    FLASH->ACR = 5u | FLASH_ACR_ICEN | FLASH_ACR_DCEN;
    (void)await(&FLASH->ACR, FLASH_ACR_LATENCY, 5u, SWITCH_MS);
    RCC->CFGR =
        (RCC->CFGR & ~(RCC_CFGR_HPRE | RCC_CFGR_PPRE1 | RCC_CFGR_PPRE2)) | RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2;
    RCC->CFGR = (RCC->CFGR & ~RCC_CFGR_SW) | RCC_CFGR_SW_PLL;
    if (!await(&RCC->CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL, SWITCH_MS)) {
        RCC->CFGR = RCC->CFGR & ~(RCC_CFGR_SW | RCC_CFGR_PPRE1 | RCC_CFGR_PPRE2);
        return CLOCK_HSI;
    }
    systick_start(PLL_HZ);
    return source;
}

uint32_t clock_apb1_hz(void)
{
    return core_hz == PLL_HZ ? PLL_HZ / 4u : HSI_HZ;
}
uint32_t clock_apb2_hz(void)
{
    return core_hz == PLL_HZ ? PLL_HZ / 2u : HSI_HZ;
}
uint32_t time_ms(void)
{
    return milliseconds;
}

uint64_t time_us(void)
{
    uint32_t mask = interrupts_disable();
    uint32_t left = SYSTICK->VAL;
    uint64_t ms = (uint64_t)wraps << 32 | milliseconds;
    if (SCB->ICSR & SCB_ICSR_PENDSTSET) { /* the counter has wrapped, the handler has not run yet */
        left = SYSTICK->VAL;
        ms++;
    }
    interrupts_restore(mask);
    uint32_t reload = core_hz / 1000u - 1u;
    return ms * 1000u + (reload - (left > reload ? reload : left)) / (core_hz / 1000000u);
}

void cpu_idle(void)
{
    wait_for_interrupt();
}

void delay_ms(uint32_t ms)
{
    for (deadline_t end = deadline_in(ms); !deadline_passed(end);)
        cpu_idle();
}
