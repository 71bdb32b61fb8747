/* SPDX-License-Identifier: Apache-2.0
 * A victim whose every step is told: what is left of it when a step is skipped or a bit is flipped. */
#include "probe.h"
__attribute__((noinline, naked)) static uint32_t steps(uint32_t start)
{
    __asm volatile(".global first_step, it_step, wide_step\n"
                   "first_step: adds r0, #1\n"
                   "            cmp r0, r0\n"
                   "            itee eq\n"
                   "it_step:    addeq r0, #16\n"
                   "            addne r0, #32\n"
                   "            addne r0, #64\n"
                   "wide_step:  add.w r0, r0, #0x100\n"
                   "            bx lr");
}
uint32_t cell = 0x55;
int main(void)
{
    for (int i = 0; i < 3; i++) fact("sum", steps(0));
    fact("cell", cell);
    return 0;
}
