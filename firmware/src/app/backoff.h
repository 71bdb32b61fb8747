/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting times between attempts: exponential, 1 s doubling to 60 s, with full jitter so that a fleet does not return
 * in step. */
#ifndef BACKOFF_H
#define BACKOFF_H
#include <stdint.h>

struct backoff {
    uint32_t failures;
};

/* The next waiting time in milliseconds, 1..ceiling; `random` decides where. */
uint32_t backoff_next(struct backoff *backoff, uint32_t random);

void backoff_reset(struct backoff *backoff);
#endif
