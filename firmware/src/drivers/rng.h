/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers from the RNG of the STM32F405 (RM0090 24.3) with health tests of NIST SP 800-90B. */
#ifndef RNG_H
#define RNG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rng_result {
    RNG_OK,
    RNG_ERROR_SEED,
    RNG_ERROR_CLOCK,
    RNG_ERROR_TIMEOUT,
    RNG_ERROR_REPETITION,
    RNG_ERROR_PROPORTION
};

/* Starts the RNG and runs the start-up test (SP 800-90B 4.3: 1024 consecutive samples through the continuous tests). */
enum rng_result rng_init(void);

/* Fills `length` bytes. On anything but RNG_OK the buffer is all zero and must not be used; a health test failure is
 * permanent until rng_init succeeds again. Not from interrupts. */
enum rng_result rng_fill(void *to, size_t length);

const char *rng_result_word(enum rng_result result); /* ok, seed, clock, timeout, repetition, proportion (SPEC 6) */
#endif
