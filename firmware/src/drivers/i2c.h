/* SPDX-License-Identifier: Apache-2.0 */
/* I2C1 as master at 400 kHz, polled. Every wait is bounded; an error leaves the bus free. */
#ifndef I2C_H
#define I2C_H
#include <stdint.h>

enum i2c_result { I2C_OK, I2C_NACK, I2C_TIMEOUT };

void i2c_init(void); /* frees a stuck bus, then sets up the peripheral */

/* START, address, nothing, STOP: is the device there and not busy? */
enum i2c_result i2c_probe(uint8_t address);

/* Writes `head`, then `length` bytes of `data`, in one transfer. */
enum i2c_result i2c_write(uint8_t address, const uint8_t head[2], const uint8_t *data, uint32_t length);

/* Writes `head`, then reads `length` (at least 1) bytes behind a repeated START. */
enum i2c_result i2c_read(uint8_t address, const uint8_t head[2], uint8_t *to, uint32_t length);
#endif
