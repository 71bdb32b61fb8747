/* SPDX-License-Identifier: Apache-2.0 */
/* What is soldered where: the one place that knows the board, as platforms/offchip-board.repl wires it. Alternate
 * functions: STM32F405 data sheet, table 9. */
#ifndef PINS_H
#define PINS_H
#include "board/gpio.h"

/* USART1, console; its receiver is not used */
#define PIN_CONSOLE_TX ((struct pin){ GPIOA, 9 })
/* USART2, modem */
#define PIN_MODEM_TX ((struct pin){ GPIOA, 2 })
#define PIN_MODEM_RX ((struct pin){ GPIOA, 3 })
/* SPI1, SD card; the select line is driven by software */
#define PIN_SD_SELECT ((struct pin){ GPIOA, 4 })
#define PIN_SD_SCK    ((struct pin){ GPIOA, 5 })
#define PIN_SD_MISO   ((struct pin){ GPIOA, 6 })
#define PIN_SD_MOSI   ((struct pin){ GPIOA, 7 })
/* I2C1, EEPROM at address 0x50; WP high protects it */
#define PIN_EEPROM_WP  ((struct pin){ GPIOB, 5 })
#define PIN_EEPROM_SCL ((struct pin){ GPIOB, 6 })
#define PIN_EEPROM_SDA ((struct pin){ GPIOB, 7 })
/* hall switch, open drain, low while the magnet is near; its EXTI line has the pin's number and shares EXTI15_10 */
#define PIN_HALL ((struct pin){ GPIOC, 13 })

enum { AF_SPI1 = 5, AF_I2C1 = 4, AF_USART1 = 7, AF_USART2 = 7 };
#endif
