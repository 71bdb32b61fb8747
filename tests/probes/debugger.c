/* SPDX-License-Identifier: Apache-2.0
 * What a program says to a debugger: semihosting (console, input, exit code) and text through the ITM. */
#include <stdint.h>
#include "probe.h"
static uint32_t call(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
int main(void)
{
    char text[6];
    uint32_t open[3] = {(uint32_t)":tt", 4, 3}, write[3] = {call(1, open), (uint32_t)"written\n", 8};
    uint32_t none[3] = {(uint32_t)"keys.pem", 0, 8}, read[3] = {1, (uint32_t)text, 5}, end[2] = {0x20026, 42};
    call(4, "text\n"); call(5, write);
    fact("no_file", call(1, none));
    fact("unread", call(6, read)); text[5] = 0; call(4, text);
    while (!REG(0xE0000000)) { }
    REG(0xE0000000) = 0x0A6F7773; /* "swo\n" at once */
    call(0x20, end);
    put_text("still here\n");
    for (;;) { }
}
