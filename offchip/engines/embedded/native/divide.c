// SPDX-License-Identifier: Apache-2.0
// SDIV and UDIV of a core that does not decode them, because a divisor of 0 is to be trapped (ARMv7-M ARM A7.7.127,
// A7.7.195). `divide` is Unicorn's uc_cb_hookinsn_invalid_t; the layout is that of division.py.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct divider {
    uint32_t *registers; // R0 to R15
    uint32_t *it;        // state of the IT block, 0 in none
    const size_t *counter, *limit; // instructions of this slice, this one included, and how many it may have
    int (*read)(void *, uint64_t, void *, uint64_t);
    uint32_t on;
};

bool divide(void *uc, void *data)
{
    struct divider *divider = data;
    uint32_t *registers = divider->registers;
    uint16_t code[2];
    // the last one of a slice is left to Python, which ends the slice right behind it, also inside an IT block
    if (!divider->on || *divider->counter >= *divider->limit || divider->read(uc, registers[15] & ~1u, code, sizeof code))
        return false;
    bool is_unsigned = (code[0] & 0xFFF0) == 0xFBB0;
    if ((!is_unsigned && (code[0] & 0xFFF0) != 0xFB90) || (code[1] & 0xF0F0) != 0xF0F0)
        return false;
    uint32_t dividend = registers[code[0] & 15], divisor = registers[code[1] & 15];
    if (!divisor)
        return false;
    registers[code[1] >> 8 & 15] = is_unsigned ? dividend / divisor
                                               : (uint32_t)((int64_t)(int32_t)dividend / (int32_t)divisor);
    registers[15] = (registers[15] & ~1u) + 4;
    uint32_t it = *divider->it;
    if (it)
        *divider->it = it & 7 ? (it & 0xE0) | (it << 1 & 0x1F) : 0;
    return true;
}
