/* SPDX-License-Identifier: Apache-2.0
 * What is at address 0, what of flash can be written, what executes (RM0090 2.3, 2.4, 3.5, 3.6).
 *
 * truth: alias_sector1=12345678   flash is mapped at 0 as a whole, table 3
 * truth: alias_last=ffffffff
 * truth: sram_at_zero=0badcafe    MEM_MODE 3
 * truth: memrmp=00000003
 * truth: store_at_zero=cafef00d   it is the same SRAM
 * truth: flash_again=12345678     MEM_MODE 0
 * truth: wrong_key_faults=00000001 bus error, 3.5.1
 * truth: wrong_key_locked=80000000 until the next reset
 * truth: otp=ffffff0f             programmed once
 * truth: otp_again=ffffff0c       bits only fall
 * truth: otp_locked_sr=00000010   WRPERR behind a lock byte of 00, 3.6.5
 * truth: otp_locked=ffffffff
 * truth: uid_sr=00000010
 * truth: uid_unchanged=00000001
 * truth: ccm_data=00000055        CCM holds data
 * truth: ccm_fault=00000100       and no instructions: IBUSERR, 2.3.1
 * truth: boots=00000001           the system reset brings the lock back to what keys open
 */
#include <stdint.h>
static volatile int faults; static volatile uint32_t status;
static void on_bus(void);
#define ON_BUS on_bus
#include "probe.h"
__attribute__((naked)) static void on_bus(void)
{
    __asm volatile("mrs r0, msp\n push {lr}\n bl bus_fault\n pop {pc}");
}
__attribute__((used)) static void bus_fault(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF; faults++;
    if (frame[6] >= 0x10000000 && frame[6] < 0x10010000) frame[6] = frame[5] & ~1u; /* back to the caller */
    else frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;                        /* over the store */
}
#define KEYR REG(0x40023C04)
#define SR REG(0x40023C0C)
#define FLASH_CR REG(0x40023C10)
static void open(void) { KEYR = 0x45670123; KEYR = 0xCDEF89AB; }
static void program(uint32_t at, uint32_t value) { FLASH_CR = 0x201; REG(at) = value; FLASH_CR = 0; }
int main(void)
{
    REG(0xE000ED24) |= 1u << 17;
    if (REG(0x08004000) != 0x12345678) {
        open(); program(0x08004000, 0x12345678);
        fact("alias_sector1", REG(0x4000)); fact("alias_last", REG(0xFFFFC));
        REG(0x20000400) = 0x0BADCAFE; REG(0x40013800) = 3;
        fact("sram_at_zero", REG(0x400)); fact("memrmp", REG(0x40013800));
        REG(0x400) = 0xCAFEF00D; fact("store_at_zero", REG(0x20000400));
        REG(0x40013800) = 0; fact("flash_again", REG(0x4000));
        FLASH_CR = 1u << 31; KEYR = 0x45670123; faults = 0; KEYR = 0x11111111;
        __asm volatile("dsb");
        fact("wrong_key_faults", faults); open(); fact("wrong_key_locked", FLASH_CR);
        __asm volatile("dsb"); REG(0xE000ED0C) = 0x05FA0004; for (;;) { }
    }
    open(); program(0x1FFF7800, 0xFFFFFF0F); fact("otp", REG(0x1FFF7800));
    program(0x1FFF7800, 0xFFFFFFFC); fact("otp_again", REG(0x1FFF7800));
    FLASH_CR = 0x001; REG8(0x1FFF7A01) = 0; FLASH_CR = 0;
    SR = 0xF2; program(0x1FFF7820, 0); fact("otp_locked_sr", SR); fact("otp_locked", REG(0x1FFF7820)); SR = 0xF2;
    uint32_t id = REG(0x1FFF7A10); program(0x1FFF7A10, 0); fact("uid_sr", SR); SR = 0xF2;
    fact("uid_unchanged", id == REG(0x1FFF7A10));
    REG(0x10000000) = 0x47704770; REG(0x10000004) = 0x55; fact("ccm_data", REG(0x10000004)); /* bx lr */
    status = 0; ((void (*)(void))0x10000001)(); fact("ccm_fault", status);
    fact("boots", !(FLASH_CR >> 31));
    return 0;
}
