/* SPDX-License-Identifier: Apache-2.0 */
/* The registers these programs use, RM0090. */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define REG8(address) (*(volatile uint8_t *)(address))

#define RCC_CR REG(0x40023800)
#define RCC_PLLCFGR REG(0x40023804)
#define RCC_CFGR REG(0x40023808)
#define RCC_AHB1ENR REG(0x40023830)
#define RCC_APB1ENR REG(0x40023840)
#define RCC_APB2ENR REG(0x40023844)
#define PWR_CR REG(0x40007000)
#define FLASH_ACR REG(0x40023C00)

#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define GPIO_MODER(port) REG((port) + 0x00)
#define GPIO_OTYPER(port) REG((port) + 0x04)
#define GPIO_OSPEEDR(port) REG((port) + 0x08)
#define GPIO_PUPDR(port) REG((port) + 0x0C)
#define GPIO_BSRR(port) REG((port) + 0x18)
#define GPIO_AFR(port, n) REG((port) + 0x20 + 4 * (n))

#define USART1_SR REG(0x40011000)
#define USART1_DR REG(0x40011004)
#define USART1_BRR REG(0x40011008)
#define USART1_CR1 REG(0x4001100C)

#define SPI1_CR1 REG(0x40013000)
#define SPI1_SR REG(0x40013008)
#define SPI1_DR REG8(0x4001300C)

#define I2C1_CR1 REG(0x40005400)
#define I2C1_CR2 REG(0x40005404)
#define I2C1_DR REG(0x40005410)
#define I2C1_SR1 REG(0x40005414)
#define I2C1_SR2 REG(0x40005418)
#define I2C1_CCR REG(0x4000541C)
#define I2C1_TRISE REG(0x40005420)

#define TIM2_CR1 REG(0x40000000)
#define TIM2_DIER REG(0x4000000C)
#define TIM2_SR REG(0x40000010)
#define TIM2_EGR REG(0x40000014)
#define TIM2_PSC REG(0x40000028)
#define TIM2_ARR REG(0x4000002C)

#define EXTI_IMR REG(0x40013C00)
#define EXTI_SWIER REG(0x40013C10)
#define EXTI_PR REG(0x40013C14)

#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define NVIC_ISER(n) REG(0xE000E100 + 4 * (n))
#define NVIC_IPR(n) REG8(0xE000E400 + (n))
#define SCB_ICSR REG(0xE000ED04)
#define SCB_SHPR(exception) REG8(0xE000ED14 + (exception)) /* 14: PendSV, 15: SysTick */
#define FPCCR REG(0xE000EF34)
#define DEMCR REG(0xE000EDFC)
#define DWT_CTRL REG(0xE0001000)
#define DWT_CYCCNT REG(0xE0001004)
