/* SPDX-License-Identifier: Apache-2.0
 * SPI and I2C corners (RM0090 27.3.3, 27.6, 28.3, 28.5), with the card and the EEPROM of the board.
 * virtual seconds: 2
 *
 * truth: spi_reset_sr=00000002
 * truth: spi_reset_crc=00000007
 * truth: spi16=0000ffff
 * truth: spi_ovr=00000041          RXNE and OVR
 * truth: spi_ovr_kept=000000ff
 * truth: spi_ovr_gone=00000000     DR, then SR
 * truth: modf=00000020             NSS low by software while master
 * truth: modf_master=00000000      MSTR and SPE fall
 * truth: modf_gone=00000000        SR, then a write to CR1
 * truth: i2c_nack=00000400         AF at an address nobody has
 * truth: i2c_nack_busy=00000002    BUSY until STOP
 * truth: i2c_idle=00000000
 * truth: i2c_af_w0=00000000
 * truth: i2c_general=00000400      general call: this EEPROM does not answer
 * truth: i2c_ten_bit=00000400      nor does anybody with ten bits
 * truth: i2c_sb=00000001
 * truth: i2c_sb_held=00000001      SB stays until SR1 was read and DR written
 * truth: i2c_addr=00000002
 * truth: i2c_sr2=00000007          MSL, BUSY, TRA
 * truth: i2c_addr_gone=00000000    SR1, then SR2
 * truth: i2c_txe=00000080
 * truth: i2c_btf=00000084
 * truth: i2c_restart_sr2=00000003  a receiver: TRA is 0
 * truth: i2c_read=0000005a
 * truth: i2c_stop_falls=00000000
 * truth: i2c_page_wrap=00000033    behind the end of a page of 64 the address goes back to its start
 * truth: i2c_sequential=00000077   reading goes on over the page's end
 * truth: i2c_roll_over=00000077    and over the end of the memory to its start
 * truth: i2c_ack_poll=00000001     NACK while the write cycle lasts, and about 5 ms of it
 * truth: i2c_current=00000001      read without an address: behind the last one
 * truth: i2c_swrst=00000000
 * truth: i2c_pe_off=00000000       PE = 0: no flags
 */
#include <stdint.h>
#include "probe.h"
#define SPI(r) REG(0x40013000u + (r))
#define I2C(r) REG(0x40005400u + (r))
static uint32_t now(void) { return REG(0xE0001004); }
static int until(uint32_t flag) { for (int i = 0; i < 20000; i++) { uint32_t s = I2C(0x14); if (s & flag) return 1; if (s & 0x400) return 0; } return 0; }
static void begin(void) { I2C(0) |= 0x100; until(1); }
static int address(uint32_t a) { I2C(0x10) = a; if (!until(2)) return 0; (void)I2C(0x18); return 1; }
static void stop(void) { I2C(0) |= 0x200; for (int i = 0; i < 1000 && I2C(0) & 0x200; i++) { } I2C(0x14) = ~0x400u; }
static void put(uint32_t b) { until(0x80); I2C(0x10) = b; }
static void ready(void) { for (;;) { begin(); int yes = address(0xA0); stop(); if (yes) return; } }
static void write(uint32_t at, const uint8_t *d, int n) { begin(); address(0xA0); put(at >> 8); put(at & 0xFF); while (n--) put(*d++); until(4); stop(); ready(); }
static void point(uint32_t at) { begin(); address(0xA0); put(at >> 8); put(at & 0xFF); until(4); }
static uint32_t take(void) { begin(); I2C(0x10) = 0xA1; until(2); I2C(0) &= ~0x400u; (void)I2C(0x18); I2C(0) |= 0x200; until(0x40); uint32_t v = I2C(0x10); for (int i = 0; i < 1000 && I2C(0) & 0x200; i++) { } return v; }
static uint32_t byte(uint32_t at) { point(at); return take(); }
int main(void)
{
    uint32_t v, s, t;
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1; REG(0x40023844) |= 1u << 12; REG(0x40023840) |= 1u << 21; REG(0x40023830) |= 3;
    fact("spi_reset_sr", SPI(8)); fact("spi_reset_crc", SPI(0x10));
    SPI(0) = 0x35C | 0x800; SPI(0xC) = 0x1234; while (!(SPI(8) & 1)) { } fact("spi16", SPI(0xC));
    SPI(0) = 0x31C; SPI(0) = 0x35C; SPI(0xC) = 1; SPI(0xC) = 2; for (volatile int i = 0; i < 50; i++) { } fact("spi_ovr", SPI(8) & 0x41); fact("spi_ovr_kept", SPI(0xC)); (void)SPI(8); fact("spi_ovr_gone", SPI(8) & 0x41);
    SPI(0) = 0x25C; s = SPI(8); fact("modf", s & 0x20); v = SPI(0); fact("modf_master", v & 0x44); SPI(0) = 0x31C; fact("modf_gone", SPI(8) & 0x20);
    REG(0x40020400) = (REG(0x40020400) & ~0xF000u) | 0xA000; REG(0x40020404) |= 0xC0; REG(0x40020420) = 0x44000000;
    I2C(0) = 0x8000; fact("i2c_swrst", I2C(0) & 1); I2C(0) = 0; I2C(4) = 16; I2C(0x1C) = 80; I2C(0x20) = 17; I2C(0) = 1;
    begin(); I2C(0x10) = 0x40; until(2); fact("i2c_nack", I2C(0x14) & 0x402); fact("i2c_nack_busy", I2C(0x18) & 2); stop(); fact("i2c_idle", I2C(0x18) & 3); fact("i2c_af_w0", I2C(0x14) & 0x400);
    begin(); I2C(0x10) = 0; until(2); fact("i2c_general", I2C(0x14) & 0x402); stop();
    begin(); I2C(0x10) = 0xF0; until(2); fact("i2c_ten_bit", I2C(0x14) & 0x40A); stop();
    begin(); fact("i2c_sb", I2C(0x14) & 1); fact("i2c_sb_held", I2C(0x14) & 1); I2C(0x10) = 0xA0; until(2); fact("i2c_addr", I2C(0x14) & 2); fact("i2c_sr2", I2C(0x18) & 7);
    fact("i2c_addr_gone", I2C(0x14) & 2); fact("i2c_txe", I2C(0x14) & 0x80); put(1); put(0); until(4); fact("i2c_btf", I2C(0x14) & 0x84); put(0x5A); until(4); stop(); ready();
    point(0x100); begin(); I2C(0x10) = 0xA1; until(2); I2C(0) &= ~0x400u; fact("i2c_restart_sr2", I2C(0x18) & 7); I2C(0) |= 0x200; until(0x40); fact("i2c_read", I2C(0x10)); for (int i = 0; i < 1000 && I2C(0) & 0x200; i++) { } fact("i2c_stop_falls", I2C(0) & 0x200);
    static const uint8_t four[4] = {0x11, 0x22, 0x33, 0x44}; write(0x7E, four, 4); fact("i2c_page_wrap", byte(0x40));
    static const uint8_t more[1] = {0x77}; write(0x80, more, 1); byte(0x7F); fact("i2c_sequential", take());
    write(0, more, 1); byte(0x7FFF); fact("i2c_roll_over", take());
    begin(); address(0xA0); put(3); put(0); put(9); until(4); I2C(0) |= 0x200; while (I2C(0) & 0x200) { } t = now(); int polls = 0; for (;;) { begin(); int yes = address(0xA0); stop(); if (yes) break; polls++; } t = now() - t; fact("i2c_ack_poll", polls > 3 && t > 16000 * 4 && t < 16000 * 6);
    byte(0x7F); fact("i2c_current", take() == 0x77);
    I2C(0) = 0; fact("i2c_pe_off", I2C(0x14));
    return 0;
}
