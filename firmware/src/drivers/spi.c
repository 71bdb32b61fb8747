/* SPDX-License-Identifier: Apache-2.0 */
/* SPI1 master, polled. RM0090 28.3.3 (master), 28.3.8 (disabling), 28.5. */
#include "drivers/spi.h"
#include "board/clock.h"
#include "board/pins.h"

enum { POLLS_MAX = 100000 }; /* a byte at 328 kHz takes 24 us = 4100 core cycles */

void spi_select(bool selected)
{
    gpio_write(PIN_SD_SELECT, !selected);
}

static bool await(uint32_t flag, uint32_t wanted)
{
    for (unsigned n = 0; n < POLLS_MAX; n++)
        if ((SPI1->SR & flag) == wanted)
            return true;
    return false;
}

void spi_init(uint32_t max_hz)
{
    RCC->APB2ENR |= RCC_APB2ENR_SPI1EN;
    (void)RCC->APB2ENR;
    gpio_clock_on(PIN_SD_SELECT);
    gpio_clock_on(PIN_SD_SCK);
    gpio_clock_on(PIN_SD_MISO);
    gpio_clock_on(PIN_SD_MOSI);
    spi_select(false);                    /* the level before the output is on */
    gpio_pull(PIN_SD_MISO, GPIO_PULL_UP); /* floats without a card: read FF */
    const struct pin fast[] = { PIN_SD_SELECT, PIN_SD_SCK, PIN_SD_MISO, PIN_SD_MOSI };
    for (unsigned i = 0; i < sizeof fast / sizeof fast[0]; i++)
        gpio_fast(fast[i]);
    gpio_alternate(PIN_SD_SCK, AF_SPI1);
    gpio_alternate(PIN_SD_MISO, AF_SPI1);
    gpio_alternate(PIN_SD_MOSI, AF_SPI1);
    gpio_mode(PIN_SD_SELECT, GPIO_OUTPUT);
    spi_speed(max_hz);
}

void spi_speed(uint32_t max_hz)
{
    uint32_t divider = 0; /* BR: fPCLK / 2^(BR+1) */
    while (divider < 7 && clock_apb2_hz() >> (divider + 1) > max_hz)
        divider++;
    (void)await(SPI_SR_BSY, 0); /* BR may not change during a transfer */
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
