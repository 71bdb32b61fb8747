/* SPDX-License-Identifier: Apache-2.0 */
#include "app/backoff.h"

enum { FIRST_MS = 1000, CEILING_MS = 60000, DOUBLINGS_MAX = 6 };

uint32_t backoff_next(struct backoff *backoff, uint32_t random)
{
    uint32_t ceiling = (uint32_t)FIRST_MS << backoff->failures;
    if (ceiling > CEILING_MS) {
        ceiling = CEILING_MS;
    }
    if (backoff->failures < DOUBLINGS_MAX) {
        backoff->failures++;
    }
    return 1 + random % ceiling;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
