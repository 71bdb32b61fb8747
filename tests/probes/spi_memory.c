/* SPDX-License-Identifier: Apache-2.0
 * Two memories on the wires of SPI2: a 25LC256 (PB12, Microchip DS20005715) and a W25Q64 (PB9, W25Q64JV 8.2).
 * platform: platforms/spi-memories.repl
 *
 * truth: no_wel=000000ff          a write without WREN does nothing
 * truth: status_wip=00000003      WIP and WEL while it writes
 * truth: status_done=00000000     WEL falls with the end
 * truth: wrapped=00001122         beyond the page it goes on at the page's start
 * truth: protected=000000ff       BP = 3 protects all
 * truth: jedec=00ef4017
 * truth: nor_and=00000050         a page program only clears bits
 * truth: nor_erased=000000ff      and the erase of its 4 KB sets them
 * truth: nor_neighbour=000000a5   not those behind
 * truth: both=0000ffff            nobody selected: the pull-up
 * truth: by_hand=00ef4017         the same chip, bit-banged
 */
#include <stdint.h>
#include "probe.h"
#define PORT 0x40020400u
static int cs;
static uint8_t swap(uint8_t v) { REG(0x4000380C) = v; while (!(REG(0x40003808) & 1)) { } return (uint8_t)REG(0x4000380C); }
static void select(int pin) { cs = pin; REG(PORT + 0x18) = 1u << (pin + 16); }
static void release(void) { REG(PORT + 0x18) = 1u << cs; }
static void one(int pin, uint8_t code) { select(pin); swap(code); release(); }
static uint8_t status(int pin) { select(pin); swap(5); uint8_t v = swap(0xFF); release(); return v; }
static void head(int pin, uint8_t code, uint32_t at) { select(pin); swap(code); if (pin == 9) swap((uint8_t)(at >> 16)); swap((uint8_t)(at >> 8)); swap((uint8_t)at); }
static uint8_t get(int pin, uint32_t at) { head(pin, 3, at); uint8_t v = swap(0xFF); release(); return v; }
static void put(int pin, uint32_t at, int n, uint8_t first) { head(pin, 2, at); for (int i = 0; i < n; i++) swap((uint8_t)(first + 0x11 * i)); release(); }
static void ready(int pin) { while (status(pin) & 1) { } }
static uint8_t hand(uint8_t out)
{
    uint8_t in = 0;
    for (int i = 7; i >= 0; i--) {
        REG(PORT + 0x18) = out >> i & 1 ? 1u << 15 : 1u << 31;
        REG(PORT + 0x18) = 1u << 13; in = (uint8_t)(in << 1 | (REG(PORT + 0x10) >> 14 & 1)); REG(PORT + 0x18) = 1u << 29;
    }
    return in;
}
int main(void)
{
    REG(0x40023840) |= 1u << 14;
    REG(PORT + 0x18) = 1u << 9 | 1u << 12;
    REG(PORT) = (REG(PORT) & ~0xFF0C0000u) | 0xA9040000u; REG(PORT + 0x24) |= 0x55500000;
    REG(0x40003800) = 0x344;
    put(12, 0, 1, 0x11); fact("no_wel", get(12, 0));
    one(12, 6); put(12, 63, 2, 0x11); fact("status_wip", status(12)); ready(12); fact("status_done", status(12));
    fact("wrapped", (uint32_t)get(12, 63) << 8 | get(12, 0));
    one(12, 6); select(12); swap(1); swap(0x0C); release(); ready(12);
    one(12, 6); put(12, 100, 1, 0x33); fact("protected", get(12, 100));
    select(9); swap(0x9F); uint32_t id = swap(0); id = id << 8 | swap(0); id = id << 8 | swap(0); release(); fact("jedec", id);
    one(9, 6); put(9, 0x1FFF, 1, 0xF0); ready(9); one(9, 6); put(9, 0x1FFF, 1, 0x5F); ready(9); fact("nor_and", get(9, 0x1FFF));
    one(9, 6); put(9, 0x2000, 1, 0xA5); ready(9);
    one(9, 6); head(9, 0x20, 0x1234); release(); ready(9);
    fact("nor_erased", get(9, 0x1FFF)); fact("nor_neighbour", get(9, 0x2000));
    fact("both", (uint32_t)swap(5) << 8 | swap(0));
    REG(0x40003800) = 0; REG(PORT) = (REG(PORT) & ~0xFC000000u) | 0x44000000u;
    select(9); hand(0x9F); id = hand(0xFF); id = id << 8 | hand(0xFF); id = id << 8 | hand(0xFF); release(); fact("by_hand", id);
    return 0;
}
