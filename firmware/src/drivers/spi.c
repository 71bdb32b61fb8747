/* SPI1 master, polled. RM0090 28.3.3 (master), 28.3.8 (disabling), 28.5. */
#include "clock.h"
#include "spi.h"
#include "stm32f405.h"

enum { CS = 4, POLLS_MAX = 100000 };    /* a byte at 328 kHz takes 24 us = 4100 core cycles */

void spi_select(bool selected) { GPIOA->BSRR = selected ? 1u << (CS + 16) : 1u << CS; }

static bool await(uint32_t flag, uint32_t wanted)
{
    for (unsigned n = 0; n < POLLS_MAX; n++)
        if ((SPI1->SR & flag) == wanted)
            return true;
    return false;
}

void spi_init(uint32_t max_hz)
{
    RCC->AHB1ENR |= RCC_AHB1ENR_GPIOAEN;
    RCC->APB2ENR |= RCC_APB2ENR_SPI1EN;
    (void)RCC->APB2ENR;
    spi_select(false);                                                          /* the level before the output is on */
    GPIOA->PUPDR = (GPIOA->PUPDR & ~(3u << 12)) | 1u << 12;                     /* MISO floats without card: read FF */
    GPIOA->OSPEEDR |= 0xFFu << 8;
    GPIOA->AFRL = (GPIOA->AFRL & ~(0xFFFu << 20)) | 0x555u << 20;               /* PA5..PA7 AF5 */
    GPIOA->MODER = (GPIOA->MODER & ~(0xFFu << 8)) | 0xA9u << 8;                 /* PA4 output, PA5..PA7 alternate */
    spi_speed(max_hz);
}

void spi_speed(uint32_t max_hz)
{
    uint32_t divider = 0;                                                       /* BR: fPCLK / 2^(BR+1) */
    while (divider < 7 && clock_apb2_hz() >> (divider + 1) > max_hz)
        divider++;
    (void)await(SPI_SR_BSY, 0);     /* BR may not change during a transfer */
    SPI1->CR1 = 0;
    /* SSM with SSI: the NSS input must read high or the master falls back to slave (MODF, 28.3.10) */
    SPI1->CR1 = SPI_CR1_MSTR | SPI_CR1_SSM | SPI_CR1_SSI | divider << SPI_CR1_BR_Pos;
    SPI1->CR1 |= SPI_CR1_SPE;
}

uint8_t spi_exchange(uint8_t out)
{
    if (!await(SPI_SR_TXE, SPI_SR_TXE))
        return 0xFF;
    SPI1->DR = out;
    if (!await(SPI_SR_RXNE, SPI_SR_RXNE))
        return 0xFF;
    return (uint8_t)SPI1->DR;
}
