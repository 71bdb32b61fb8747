/* SPDX-License-Identifier: Apache-2.0 */
/* Hall switch through the EXTI line of its pin. RM0090 8.3, 9.2.6 (EXTICR4), 12.2. */
#include "drivers/hall.h"
#include "board/pins.h"

static volatile bool event;
static void (*volatile alarm)(void);

void hall_init(void)
{
    RCC->APB2ENR |= RCC_APB2ENR_SYSCFGEN;
    (void)RCC->APB2ENR;
    gpio_clock_on(PIN_HALL);
    gpio_pull(PIN_HALL, GPIO_PULL_UP);
    reg32 *source = &SYSCFG->EXTICR1 + PIN_HALL.number / 4u;
    unsigned shift = 4u * (PIN_HALL.number % 4u);
    *source = (*source & ~(15u << shift)) | gpio_port_index(PIN_HALL) << shift;
    EXTI->RTSR |= gpio_bit(PIN_HALL);
    EXTI->FTSR |= gpio_bit(PIN_HALL);
    EXTI->PR = gpio_bit(PIN_HALL);
    EXTI->IMR |= gpio_bit(PIN_HALL);
    nvic_enable(IRQ_EXTI15_10, PRIORITY_HALL);
}

void EXTI15_10_IRQHandler(void);
void EXTI15_10_IRQHandler(void)
{
    EXTI->PR = gpio_bit(PIN_HALL); /* cleared by writing 1, before the flag: an edge from now on interrupts again */
    event = true;
    if (alarm && !hall_closed())
        alarm();
}

void hall_set_alarm(void (*act)(void))
{
    alarm = act;
}

bool hall_closed(void)
{
    return !gpio_read(PIN_HALL);
}

bool hall_take_event(void)
{
    if (!event)
        return false;
    event = false; /* an edge just before this line counts as seen: the caller reads the level afterwards */
    return true;
}
