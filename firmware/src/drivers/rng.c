/* SPDX-License-Identifier: Apache-2.0 */
/* RNG of the STM32F405: RM0090 24.3 (operation, error management), with the health tests of NIST SP 800-90B 4.4.
 *
 * Samples of the health tests are bytes of the output words. Assumed min-entropy H = 4 bit per byte, half of what the
 * conditioned output should have: a margin for a bad part without false alarms. With alpha = 2^-30:
 *   4.4.1 repetition count:     C = 1 + ceil(30 / H) = 9 equal samples in a row
 *   4.4.2 adaptive proportion:  W = 512 (non-binary); C = 1 + critbinom(512, 2^-4, 1 - 2^-30) = 71 of the window
 * Equal 32-bit words in succession also fail (FIPS 140-2 4.9.2, demanded by RM0090 24.3.1): chance 2^-32 per word.
 *
 * Those two see a byte that comes too often, not a source that goes in a circle or has constant bits. So the start-up and
 * each fill end with a block of words that serve nothing else, and what was filled is handed out only if in this block
 *   - at most one word comes again: of 256 two would, of a good source, with 2^-35 (circles of up to 254 words);
 *   - each bit, whether it changed, and whether it differs from that 1, 2, 4, 8 and 16 places further, is 1 in 73 to 183 of
 *     256 words: binomial(256, 1/2), alpha = 2^-39 for each of 224 counts (constant, uneven and copied bits, counters). */
#include "drivers/rng.h"
#include <string.h>
#include "board/stm32f405.h"

enum {
    REPETITION_CUTOFF = 9,
    WINDOW = 512,
    PROPORTION_CUTOFF = 71,
    BLOCK = 256,
    REPEATS_CUTOFF = 2,
    FEWEST = 73,
    STATISTICS = 7,
    PLANES = 9,
    RECOVERIES_MAX = 3,
    /* a word takes 40 periods of 48 MHz = 140 core cycles; seed error detection and restart stay far below this */
    POLLS_MAX = 20000
};

static struct {
    enum rng_result state; /* not RNG_OK: not started, or a test failed */
    bool comparable;       /* `previous` is known */
    uint32_t previous;
    uint8_t last; /* 4.4.1 */
    unsigned repeats;
    uint8_t reference; /* 4.4.2 */
    unsigned window_position, occurrences;
} rng = { .state = RNG_ERROR_TIMEOUT };

static enum rng_result test_byte(uint8_t sample)
{
    if (rng.repeats && sample == rng.last) {
        if (++rng.repeats >= REPETITION_CUTOFF)
            return RNG_ERROR_REPETITION;
    } else {
        rng.last = sample;
        rng.repeats = 1;
    }
    if (rng.window_position == 0) {
        rng.reference = sample;
        rng.occurrences = 1;
    } else if (sample == rng.reference && ++rng.occurrences >= PROPORTION_CUTOFF) {
        return RNG_ERROR_PROPORTION;
    }
    rng.window_position = (rng.window_position + 1u) % WINDOW;
    return RNG_OK;
}

/* 24.3.2: after a seed error clear SEIS, then clear and set RNGEN; the first word only serves comparison. */
static void restart(void)
{
    RNG->CR = 0;
    RNG->SR = 0; /* SEIS and CEIS are cleared by writing 0; the other bits are read-only */
    RNG->CR = RNG_CR_RNGEN;
    rng.comparable = false;
}

/* One word straight from the peripheral, with the recovery RM0090 24.3.2 prescribes, a bounded number of times. */
static enum rng_result read_word(uint32_t *word)
{
    enum rng_result last = RNG_ERROR_TIMEOUT;
    unsigned recoveries = 0;
    for (unsigned n = 0; n < POLLS_MAX; n++) {
        uint32_t status = RNG->SR;
        if (status & (RNG_SR_SEIS | RNG_SR_SECS)) {
            last = RNG_ERROR_SEED;
            if (++recoveries > RECOVERIES_MAX)
                return last;
            restart();
        } else if (status & (RNG_SR_CEIS | RNG_SR_CECS)) {
            /* the clock recovers by itself; words generated before the error stay good, so wait for CECS to fall */
            last = RNG_ERROR_CLOCK;
            if (!(status & RNG_SR_CECS)) {
                if (++recoveries > RECOVERIES_MAX)
                    return last;
                RNG->SR = 0;
            }
        } else if (status & RNG_SR_DRDY) {
            *word = RNG->DR;
            return RNG_OK;
        }
    }
    return last;
}

/* A tested word. The first one after a restart only serves comparison; a source restarted each time fails. */
static enum rng_result next_word(uint32_t *word)
{
    for (unsigned attempt = 0; attempt <= RECOVERIES_MAX; attempt++) {
        enum rng_result result = read_word(word);
        if (result != RNG_OK)
            return result;
        bool comparable = rng.comparable;
        if (comparable && *word == rng.previous)
            return RNG_ERROR_REPETITION;
        rng.previous = *word;
        rng.comparable = true;
        for (unsigned i = 0; i < 4; i++)
            if ((result = test_byte((uint8_t)(*word >> (8 * i)))) != RNG_OK)
                return result;
        if (comparable)
            return RNG_OK;
    }
    return RNG_ERROR_SEED;
}

static uint32_t rotated(uint32_t word, unsigned places)
{
    return word >> places | word << (32 - places);
}

/* 32 counters, one for each bit; plane n holds their bits n. */
static void count_ones(uint32_t planes[PLANES], uint32_t word)
{
    for (unsigned i = 0; i < PLANES && word; i++) {
        uint32_t carry = planes[i] & word;
        planes[i] ^= word;
        word = carry;
    }
}

static bool even(const uint32_t planes[PLANES])
{
    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned ones = 0;
        for (unsigned i = 0; i < PLANES; i++)
            ones |= (planes[i] >> bit & 1u) << i;
        if (ones < FEWEST || ones > BLOCK - FEWEST)
            return false;
    }
    return true;
}

/* The tests over a block of words, see above. */
static enum rng_result test_block(void)
{
    static uint32_t words[BLOCK], planes[STATISTICS][PLANES];
    unsigned repeats = 0;
    memset(planes, 0, sizeof planes);
    for (unsigned n = 0; n < BLOCK; n++) {
        uint32_t before = rng.previous, word;
        enum rng_result result = next_word(&word);
        if (result != RNG_OK)
            return result;
        for (unsigned i = 0; i < n; i++)
            repeats += words[i] == word;
        if (repeats >= REPEATS_CUTOFF)
            return RNG_ERROR_REPETITION;
        words[n] = word;
        count_ones(planes[0], word);
        count_ones(planes[1], word ^ before);
        for (unsigned i = 2; i < STATISTICS; i++)
            count_ones(planes[i], word ^ rotated(word, 1u << (i - 2)));
    }
    for (unsigned i = 0; i < STATISTICS; i++)
        if (!even(planes[i]))
            return RNG_ERROR_PROPORTION;
    return RNG_OK;
}

enum rng_result rng_init(void)
{
    RCC->AHB2ENR |= RCC_AHB2ENR_RNGEN;
    (void)RCC->AHB2ENR;
    memset(&rng, 0, sizeof rng);
    restart();
    rng.state = test_block();
    return rng.state;
}

enum rng_result rng_fill(void *to, size_t length)
{
    uint8_t *bytes = to;
    uint32_t word = 0;
    enum rng_result result = rng.state;
    for (size_t i = 0; i < length && result == RNG_OK; i++) {
        if (i % 4 == 0)
            result = next_word(&word);
        bytes[i] = (uint8_t)(word >> (8 * (i % 4)));
    }
    if (result == RNG_OK)
        result = test_block();
    if (result != RNG_OK) {
        rng.state = result;
        memset(to, 0, length);
    }
    return result;
}

const char *rng_result_word(enum rng_result result)
{
    static const char *const words[] = { "ok", "seed", "clock", "timeout", "repetition", "proportion" };
    return words[result];
}
