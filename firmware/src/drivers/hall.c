/* Hall switch on PC13 through EXTI line 13. RM0090 8.3, 9.2.6 (EXTICR4), 12.2. */
#include "hall.h"
#include "stm32f405.h"

enum { PIN = 13 };
static volatile bool event;

void hall_init(void)
{
    RCC->AHB1ENR |= RCC_AHB1ENR_GPIOCEN;
    RCC->APB2ENR |= RCC_APB2ENR_SYSCFGEN;
    (void)RCC->APB2ENR;
    GPIOC->PUPDR = (GPIOC->PUPDR & ~(3u << (2 * PIN))) | 1u << (2 * PIN);
    SYSCFG->EXTICR4 = (SYSCFG->EXTICR4 & ~(15u << 4)) | 2u << 4;        /* line 13 from port C */
    EXTI->RTSR |= 1u << PIN;
    EXTI->FTSR |= 1u << PIN;
    EXTI->PR = 1u << PIN;
    EXTI->IMR |= 1u << PIN;
    nvic_enable(IRQ_EXTI15_10, PRIORITY_HALL);
}

void EXTI15_10_IRQHandler(void);
void EXTI15_10_IRQHandler(void)
{
    EXTI->PR = 1u << PIN;       /* cleared by writing 1, before the flag: an edge from now on interrupts again */
    event = true;
}

bool hall_closed(void) { return !(GPIOC->IDR & 1u << PIN); }

bool hall_take_event(void)
{
    if (!event)
        return false;
    event = false;      /* an edge just before this line counts as seen: the caller reads the level afterwards */
    return true;
}
