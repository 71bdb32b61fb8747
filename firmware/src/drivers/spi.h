/* SPDX-License-Identifier: Apache-2.0 */
/* SPI1 as master, mode 0, 8 bits, chip select by software. */
#ifndef SPI_H
#define SPI_H
#include <stdbool.h>
#include <stdint.h>

void spi_init(uint32_t max_hz);  /* chip select high; then as spi_speed */
void spi_speed(uint32_t max_hz); /* the fastest clock not above max_hz */
void spi_select(bool selected);
uint8_t spi_exchange(uint8_t out); /* sends one byte and returns the one received; 0xFF if the SPI does not work */
#endif
