/* SPDX-License-Identifier: Apache-2.0 */
/* One pin of a GPIO port (RM0090 8.3, 8.4); a field of a neighbour is never touched. Drivers get theirs from
 * board/pins.h. */
#ifndef GPIO_H
#define GPIO_H
#include <stdbool.h>
#include "board/stm32f405.h"

struct pin {
    gpio_registers *port;
    unsigned number; /* 0..15 */
};

enum gpio_mode { GPIO_INPUT, GPIO_OUTPUT, GPIO_ALTERNATE };
enum gpio_pull { GPIO_FLOATING, GPIO_PULL_UP };

static inline uint32_t gpio_bit(struct pin pin)
{
    return 1u << pin.number;
}

static inline uint32_t gpio_field2(uint32_t old, struct pin pin, uint32_t value)
{
    return (old & ~(3u << (2u * pin.number))) | value << (2u * pin.number);
}

/* Port A is 0, port B 1 ...: the number RCC_AHB1ENR and SYSCFG_EXTICR count by. */
static inline unsigned gpio_port_index(struct pin pin)
{
    return (unsigned)(((uintptr_t)pin.port - (uintptr_t)GPIOA) / 0x400u);
}

static inline void gpio_clock_on(struct pin pin)
{
    RCC->AHB1ENR |= 1u << gpio_port_index(pin);
    (void)RCC->AHB1ENR; /* errata sheet ES0182 2.1.13: a clock needs two cycles before its first use */
}

static inline void gpio_mode(struct pin pin, enum gpio_mode mode)
{
    pin.port->MODER = gpio_field2(pin.port->MODER, pin, mode);
}

static inline void gpio_pull(struct pin pin, enum gpio_pull pull)
{
    pin.port->PUPDR = gpio_field2(pin.port->PUPDR, pin, pull);
}

static inline void gpio_fast(struct pin pin)
{
    pin.port->OSPEEDR = gpio_field2(pin.port->OSPEEDR, pin, 3);
}

static inline void gpio_open_drain(struct pin pin)
{
    pin.port->OTYPER |= gpio_bit(pin);
}

/* `function` is the AF number of the data sheet's table 9; the function is chosen before the pin follows it. */
static inline void gpio_alternate(struct pin pin, unsigned function)
{
    reg32 *where = pin.number < 8 ? &pin.port->AFRL : &pin.port->AFRH;
    unsigned shift = 4u * (pin.number % 8u);
    *where = (*where & ~(15u << shift)) | function << shift;
    gpio_mode(pin, GPIO_ALTERNATE);
}

static inline void gpio_write(struct pin pin, bool high)
{
    pin.port->BSRR = high ? gpio_bit(pin) : gpio_bit(pin) << 16;
}

static inline bool gpio_read(struct pin pin)
{
    return pin.port->IDR & gpio_bit(pin);
}
#endif
