# SPDX-License-Identifier: Apache-2.0
"""Which address ranges exist on an STM32F405/407 (RM0090 2.3, table 1): the rest of the bus answers with an error."""

from __future__ import annotations

from bisect import bisect_right

#: (start, end inclusive, name) of every peripheral block, whether or not the platform models it
BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x1FFF0000, 0x1FFF77FF, "system memory"), (0x1FFF7800, 0x1FFF79FF, "OTP"), (0x1FFF7A00, 0x1FFF7A0F, "OTP lock"),
    (0x1FFF7A10, 0x1FFF7A2F, "device signature"), (0x1FFFC000, 0x1FFFC00F, "option bytes"),
    (0x40000000, 0x400003FF, "TIM2"), (0x40000400, 0x400007FF, "TIM3"), (0x40000800, 0x40000BFF, "TIM4"),
    (0x40000C00, 0x40000FFF, "TIM5"), (0x40001000, 0x400013FF, "TIM6"), (0x40001400, 0x400017FF, "TIM7"),
    (0x40001800, 0x40001BFF, "TIM12"), (0x40001C00, 0x40001FFF, "TIM13"), (0x40002000, 0x400023FF, "TIM14"),
    (0x40002800, 0x40002BFF, "RTC"), (0x40002C00, 0x40002FFF, "WWDG"), (0x40003000, 0x400033FF, "IWDG"),
    (0x40003400, 0x400037FF, "I2S2ext"), (0x40003800, 0x40003BFF, "SPI2"), (0x40003C00, 0x40003FFF, "SPI3"),
    (0x40004000, 0x400043FF, "I2S3ext"), (0x40004400, 0x400047FF, "USART2"), (0x40004800, 0x40004BFF, "USART3"),
    (0x40004C00, 0x40004FFF, "UART4"), (0x40005000, 0x400053FF, "UART5"), (0x40005400, 0x400057FF, "I2C1"),
    (0x40005800, 0x40005BFF, "I2C2"), (0x40005C00, 0x40005FFF, "I2C3"), (0x40006400, 0x400067FF, "CAN1"),
    (0x40006800, 0x40006BFF, "CAN2"), (0x40007000, 0x400073FF, "PWR"), (0x40007400, 0x400077FF, "DAC"),
    (0x40010000, 0x400103FF, "TIM1"), (0x40010400, 0x400107FF, "TIM8"), (0x40011000, 0x400113FF, "USART1"),
    (0x40011400, 0x400117FF, "USART6"), (0x40012000, 0x400123FF, "ADC1-2-3"), (0x40012C00, 0x40012FFF, "SDIO"),
    (0x40013000, 0x400133FF, "SPI1"), (0x40013800, 0x40013BFF, "SYSCFG"), (0x40013C00, 0x40013FFF, "EXTI"),
    (0x40014000, 0x400143FF, "TIM9"), (0x40014400, 0x400147FF, "TIM10"), (0x40014800, 0x40014BFF, "TIM11"),
    (0x40020000, 0x400203FF, "GPIOA"), (0x40020400, 0x400207FF, "GPIOB"), (0x40020800, 0x40020BFF, "GPIOC"),
    (0x40020C00, 0x40020FFF, "GPIOD"), (0x40021000, 0x400213FF, "GPIOE"), (0x40021400, 0x400217FF, "GPIOF"),
    (0x40021800, 0x40021BFF, "GPIOG"), (0x40021C00, 0x40021FFF, "GPIOH"), (0x40022000, 0x400223FF, "GPIOI"),
    (0x40023000, 0x400233FF, "CRC"), (0x40023800, 0x40023BFF, "RCC"), (0x40023C00, 0x40023FFF, "FLASH"),
    (0x40024000, 0x40024FFF, "BKPSRAM"), (0x40026000, 0x400263FF, "DMA1"), (0x40026400, 0x400267FF, "DMA2"),
    (0x40028000, 0x400293FF, "ETH"), (0x40040000, 0x4007FFFF, "USB OTG HS"), (0x50000000, 0x5003FFFF, "USB OTG FS"),
    (0x50050000, 0x500503FF, "DCMI"), (0x50060800, 0x50060BFF, "RNG"),
    (0xA0000000, 0xA0000FFF, "FSMC"),
    (0xE0000000, 0xE0000FFF, "ITM"), (0xE0001000, 0xE0001FFF, "DWT"), (0xE0002000, 0xE0002FFF, "FPB"),
    (0xE000E000, 0xE000EFFF, "SCS"), (0xE0040000, 0xE0040FFF, "TPIU"), (0xE0041000, 0xE0041FFF, "ETM"),
    (0xE0042000, 0xE00423FF, "DBGMCU"), (0xE00FF000, 0xE00FFFFF, "ROM table"),
)

#: windows of the bus served by Python: (start, size), page aligned
WINDOWS: tuple[tuple[int, int], ...] = (
    (0x1FFF0000, 0x10000), (0x40000000, 0x80000), (0x50000000, 0x61000), (0xA0000000, 0x1000), (0xE0000000, 0x100000),
)

#: (alias start, target start, alias size) of the bit-band regions, PM0214 2.2.5
BIT_BANDS: tuple[tuple[int, int, int], ...] = ((0x22000000, 0x20000000, 0x400000), (0x42000000, 0x40000000, 0x2000000))

_STARTS = [start for start, _, _ in BLOCKS]


def block_at(address: int) -> str | None:
    """Name of the block that owns ``address``, None where the bus has nothing."""
    i = bisect_right(_STARTS, address) - 1
    return BLOCKS[i][2] if i >= 0 and address <= BLOCKS[i][1] else None
