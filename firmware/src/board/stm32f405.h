/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of the STM32F405 used by this firmware, in the names of RM0090; core registers as in PM0214.
 * All peripheral registers are accessed as 32-bit words unless a driver says otherwise. */
#ifndef STM32F405_H
#define STM32F405_H
#include <stdint.h>

typedef volatile uint32_t reg32;

/* --- RCC, RM0090 7.3 ------------------------------------------------------------------------------------------- */
typedef struct {
    reg32 CR, PLLCFGR, CFGR, CIR, AHB1RSTR, AHB2RSTR, AHB3RSTR, reserved0, APB1RSTR, APB2RSTR, reserved1[2];
    reg32 AHB1ENR, AHB2ENR, AHB3ENR, reserved2, APB1ENR, APB2ENR, reserved3[2];
    reg32 AHB1LPENR, AHB2LPENR, AHB3LPENR, reserved4, APB1LPENR, APB2LPENR, reserved5[2];
    reg32 BDCR, CSR, reserved6[2], SSCGR, PLLI2SCFGR;
} rcc_registers;
#define RCC                    ((rcc_registers *)0x40023800u)
#define RCC_CR_HSION           (1u << 0)
#define RCC_CR_HSIRDY          (1u << 1)
#define RCC_CR_HSEON           (1u << 16)
#define RCC_CR_HSERDY          (1u << 17)
#define RCC_CR_PLLON           (1u << 24)
#define RCC_CR_PLLRDY          (1u << 25)
#define RCC_PLLCFGR_PLLM_Pos   0u
#define RCC_PLLCFGR_PLLN_Pos   6u
#define RCC_PLLCFGR_PLLP_Pos   16u
#define RCC_PLLCFGR_PLLSRC_HSE (1u << 22)
#define RCC_PLLCFGR_PLLQ_Pos   24u
#define RCC_PLLCFGR_FIELDS     0x0F437FFFu /* PLLM, PLLN, PLLP, PLLSRC, PLLQ; the rest is reserved */
#define RCC_CFGR_SW            (3u << 0)
#define RCC_CFGR_SW_HSI        (0u << 0)
#define RCC_CFGR_SW_PLL        (2u << 0)
#define RCC_CFGR_SWS           (3u << 2)
#define RCC_CFGR_SWS_HSI       (0u << 2)
#define RCC_CFGR_SWS_PLL       (2u << 2)
#define RCC_CFGR_HPRE          (15u << 4)
#define RCC_CFGR_PPRE1         (7u << 10)
#define RCC_CFGR_PPRE1_DIV4    (5u << 10)
#define RCC_CFGR_PPRE2         (7u << 13)
#define RCC_CFGR_PPRE2_DIV2    (4u << 13)
#define RCC_AHB1ENR_GPIOAEN    (1u << 0)
#define RCC_AHB1ENR_GPIOBEN    (1u << 1)
#define RCC_AHB1ENR_GPIOCEN    (1u << 2)
#define RCC_AHB2ENR_RNGEN      (1u << 6)
#define RCC_APB1ENR_USART2EN   (1u << 17)
#define RCC_APB1ENR_I2C1EN     (1u << 21)
#define RCC_APB1ENR_PWREN      (1u << 28)
#define RCC_APB2ENR_USART1EN   (1u << 4)
#define RCC_APB2ENR_SPI1EN     (1u << 12)
#define RCC_APB2ENR_SYSCFGEN   (1u << 14)
#define RCC_BDCR_LSEON         (1u << 0)
#define RCC_BDCR_LSERDY        (1u << 1)
#define RCC_BDCR_RTCSEL        (3u << 8)
#define RCC_BDCR_RTCSEL_LSE    (1u << 8)
#define RCC_BDCR_RTCSEL_LSI    (2u << 8)
#define RCC_BDCR_RTCEN         (1u << 15)
#define RCC_CSR_LSION          (1u << 0)
#define RCC_CSR_LSIRDY         (1u << 1)
#define RCC_CSR_RMVF           (1u << 24)
#define RCC_CSR_BORRSTF        (1u << 25)
#define RCC_CSR_PINRSTF        (1u << 26)
#define RCC_CSR_PORRSTF        (1u << 27)
#define RCC_CSR_SFTRSTF        (1u << 28)
#define RCC_CSR_IWDGRSTF       (1u << 29)
#define RCC_CSR_WWDGRSTF       (1u << 30)

/* --- PWR, RM0090 5.4 ------------------------------------------------------------------------------------------- */
typedef struct {
    reg32 CR, CSR;
} pwr_registers;
#define PWR        ((pwr_registers *)0x40007000u)
#define PWR_CR_DBP (1u << 8)
#define PWR_CR_VOS (1u << 14)

/* --- Flash interface, RM0090 3.9 ------------------------------------------------------------------------------- */
typedef struct {
    reg32 ACR, KEYR, OPTKEYR, SR, CR, OPTCR;
} flash_registers;
#define FLASH               ((flash_registers *)0x40023C00u)
#define FLASH_ACR_LATENCY   (7u << 0)
#define FLASH_ACR_PRFTEN    (1u << 8)
#define FLASH_ACR_ICEN      (1u << 9)
#define FLASH_ACR_DCEN      (1u << 10)
#define FLASH_ACR_ICRST     (1u << 11)
#define FLASH_ACR_DCRST     (1u << 12)
#define FLASH_SR_EOP        (1u << 0)
#define FLASH_SR_OPERR      (1u << 1)
#define FLASH_SR_WRPERR     (1u << 4)
#define FLASH_SR_PGAERR     (1u << 5)
#define FLASH_SR_PGPERR     (1u << 6)
#define FLASH_SR_PGSERR     (1u << 7)
#define FLASH_SR_BSY        (1u << 16)
#define FLASH_CR_PG         (1u << 0)
#define FLASH_CR_SER        (1u << 1)
#define FLASH_CR_SNB_Pos    3u
#define FLASH_CR_PSIZE_X32  (2u << 8)
#define FLASH_CR_STRT       (1u << 16)
#define FLASH_CR_LOCK       (1u << 31)
#define FLASH_OPTCR_OPTLOCK (1u << 0)
#define FLASH_OPTCR_OPTSTRT (1u << 1)
#define FLASH_OPTCR_RDP_Pos 8u
#define FLASH_OPTCR_RDP     (255u << 8)

/* --- GPIO, RM0090 8.4 ------------------------------------------------------------------------------------------ */
typedef struct {
    reg32 MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFRL, AFRH;
} gpio_registers;
#define GPIOA ((gpio_registers *)0x40020000u)
#define GPIOB ((gpio_registers *)0x40020400u)
#define GPIOC ((gpio_registers *)0x40020800u)

/* --- SYSCFG, EXTI, RM0090 9.2, 12.3 ---------------------------------------------------------------------------- */
typedef struct {
    reg32 MEMRMP, PMC, EXTICR1, EXTICR2, EXTICR3, EXTICR4, reserved[2], CMPCR;
} syscfg_registers;
#define SYSCFG ((syscfg_registers *)0x40013800u)
typedef struct {
    reg32 IMR, EMR, RTSR, FTSR, SWIER, PR;
} exti_registers;
#define EXTI ((exti_registers *)0x40013C00u)

/* --- USART, RM0090 30.6 ---------------------------------------------------------------------------------------- */
typedef struct {
    reg32 SR, DR, BRR, CR1, CR2, CR3, GTPR;
} usart_registers;
#define USART1           ((usart_registers *)0x40011000u)
#define USART2           ((usart_registers *)0x40004400u)
#define USART_SR_FE      (1u << 1)
#define USART_SR_NF      (1u << 2)
#define USART_SR_ORE     (1u << 3)
#define USART_SR_RXNE    (1u << 5)
#define USART_SR_TC      (1u << 6)
#define USART_SR_TXE     (1u << 7)
#define USART_CR1_RE     (1u << 2)
#define USART_CR1_TE     (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_TXEIE  (1u << 7)
#define USART_CR1_UE     (1u << 13)

/* --- SPI, RM0090 28.5 ------------------------------------------------------------------------------------------ */
typedef struct {
    reg32 CR1, CR2, SR, DR, CRCPR, RXCRCR, TXCRCR, I2SCFGR, I2SPR;
} spi_registers;
#define SPI1           ((spi_registers *)0x40013000u)
#define SPI_CR1_MSTR   (1u << 2)
#define SPI_CR1_BR_Pos 3u
#define SPI_CR1_BR     (7u << 3)
#define SPI_CR1_SPE    (1u << 6)
#define SPI_CR1_SSI    (1u << 8)
#define SPI_CR1_SSM    (1u << 9)
#define SPI_SR_RXNE    (1u << 0)
#define SPI_SR_TXE     (1u << 1)
#define SPI_SR_BSY     (1u << 7)

/* --- I2C, RM0090 27.6 ------------------------------------------------------------------------------------------ */
typedef struct {
    reg32 CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR, TRISE, FLTR;
} i2c_registers;
#define I2C1          ((i2c_registers *)0x40005400u)
#define I2C_CR1_PE    (1u << 0)
#define I2C_CR1_START (1u << 8)
#define I2C_CR1_STOP  (1u << 9)
#define I2C_CR1_ACK   (1u << 10)
#define I2C_CR1_POS   (1u << 11)
#define I2C_CR1_SWRST (1u << 15)
#define I2C_SR1_SB    (1u << 0)
#define I2C_SR1_ADDR  (1u << 1)
#define I2C_SR1_BTF   (1u << 2)
#define I2C_SR1_RXNE  (1u << 6)
#define I2C_SR1_TXE   (1u << 7)
#define I2C_SR1_BERR  (1u << 8)
#define I2C_SR1_ARLO  (1u << 9)
#define I2C_SR1_AF    (1u << 10)
#define I2C_SR2_BUSY  (1u << 1)
#define I2C_CCR_FS    (1u << 15)

/* --- RNG, RM0090 24.4 ------------------------------------------------------------------------------------------ */
typedef struct {
    reg32 CR, SR, DR;
} rng_registers;
#define RNG          ((rng_registers *)0x50060800u)
#define RNG_CR_RNGEN (1u << 2)
#define RNG_SR_DRDY  (1u << 0)
#define RNG_SR_CECS  (1u << 1)
#define RNG_SR_SECS  (1u << 2)
#define RNG_SR_CEIS  (1u << 5)
#define RNG_SR_SEIS  (1u << 6)

/* --- RTC, RM0090 26.6 ------------------------------------------------------------------------------------------ */
typedef struct {
    reg32 TR, DR, CR, ISR, PRER, WUTR, CALIBR, ALRMAR, ALRMBR, WPR, SSR, SHIFTR, TSTR, TSDR, TSSSR, CALR, TAFCR;
    reg32 ALRMASSR, ALRMBSSR, reserved, BKPR[20];
} rtc_registers;
#define RTC           ((rtc_registers *)0x40002800u)
#define RTC_ISR_INITS (1u << 4)
#define RTC_ISR_RSF   (1u << 5)
#define RTC_ISR_INITF (1u << 6)
#define RTC_ISR_INIT  (1u << 7)

/* --- IWDG, RM0090 21.4 ----------------------------------------------------------------------------------------- */
typedef struct {
    reg32 KR, PR, RLR, SR;
} iwdg_registers;
#define IWDG        ((iwdg_registers *)0x40003000u)
#define IWDG_SR_PVU (1u << 0)
#define IWDG_SR_RVU (1u << 1)

/* --- Core: PM0214 4.2 NVIC, 4.3 SCB, 4.4 SysTick ---------------------------------------------------------------- */
typedef struct {
    reg32 CTRL, LOAD, VAL, CALIB;
} systick_registers;
#define SYSTICK                ((systick_registers *)0xE000E010u)
#define SYSTICK_CTRL_ENABLE    (1u << 0)
#define SYSTICK_CTRL_TICKINT   (1u << 1)
#define SYSTICK_CTRL_CLKSOURCE (1u << 2)
#define NVIC_ISER(n)           (((reg32 *)0xE000E100u)[n])
#define NVIC_IPR(n)            (((volatile uint8_t *)0xE000E400u)[n])

typedef struct {
    reg32 CPUID, ICSR, VTOR, AIRCR, SCR, CCR;
    volatile uint8_t SHPR[12];
    reg32 SHCSR, CFSR, HFSR, DFSR, MMFAR, BFAR, AFSR;
} scb_registers;
#define SCB                   ((scb_registers *)0xE000ED00u)
#define SCB_ICSR_PENDSTSET    (1u << 26)
#define SCB_AIRCR_VECTKEY     (0x05FAu << 16)
#define SCB_AIRCR_SYSRESETREQ (1u << 2)
#define SCB_CCR_DIV_0_TRP     (1u << 4)
#define SCB_SHCSR_MEMFAULTENA (1u << 16)
#define SCB_SHCSR_BUSFAULTENA (1u << 17)
#define SCB_SHCSR_USGFAULTENA (1u << 18)
#define SCB_CPACR             (*(reg32 *)0xE000ED88u)

/* interrupt numbers, RM0090 table 61 */
enum { IRQ_USART1 = 37, IRQ_USART2 = 38, IRQ_EXTI15_10 = 40, IRQ_COUNT = 82 };

/* Priorities, 0 (first) .. 15. The lid comes first: nothing may stand between it and the secrets. Then the receiver: at
 * 115200 baud its one-byte buffer overruns after 87 us. */
enum { PRIORITY_HALL = 0, PRIORITY_MODEM = 1, PRIORITY_SYSTICK = 2, PRIORITY_CONSOLE = 4 };

static inline void nvic_enable(unsigned irq, unsigned priority)
{
    NVIC_IPR(irq) = (uint8_t)(priority << 4); /* 4 bits are implemented, at the top */
    NVIC_ISER(irq / 32u) = 1u << (irq % 32u);
}
static inline uint32_t interrupts_disable(void)
{
    uint32_t primask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    return primask;
}
static inline void interrupts_restore(uint32_t primask)
{
    __asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}
static inline void barrier_data(void)
{
    __asm volatile("dsb" ::: "memory");
}
static inline void barrier_instruction(void)
{
    __asm volatile("isb" ::: "memory");
}
static inline void wait_for_interrupt(void)
{
    __asm volatile("dsb\n\twfi\n\tisb" ::: "memory");
}
#endif
