/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_platform.h"
#include <stdint.h>
#include <string.h>
#include <time.h>
#include "entropy_poll.h"
#include "mbedtls/entropy.h"
#include "mbedtls/memory_buffer_alloc.h"
#include "mbedtls/platform.h"
#include "mbedtls/platform_time.h"
#include "mbedtls/platform_util.h"
#include "psa/crypto.h"
#include "board/clock.h"
#include "drivers/rng.h"
#include "net/wall_clock.h"

/* A connection with a chain of three RSA certificates touches 32 KB; the rest is room for larger chains. */
enum { ARENA_SIZE = 64 * 1024 };

static _Alignas(8) unsigned char arena[ARENA_SIZE];
static bool random_failed;

/* Takes the place of the C library's, which would ask an operating system. */
time_t time(time_t *also)
{
    time_t now = (time_t)wall_clock_now();
    if (also != NULL) {
        *also = now;
    }
    return now;
}

/* The names and types below are what the MBEDTLS_..._ALT options of Mbed TLS ask for. */
mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t)(time_us() / 1000u);
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *when, struct tm *out)
{
    return gmtime_r(when, out);
}

int mbedtls_hardware_poll(void *context, unsigned char *output, size_t length, size_t *filled)
{
    (void)context;
    *filled = 0;
    if (rng_fill(output, length) != RNG_OK) {
        random_failed = true;
        return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
    }
    *filled = length;
    return 0;
}

bool tls_platform_init(void)
{
    static bool prepared;
    if (!prepared) {
        mbedtls_memory_buffer_alloc_init(arena, sizeof arena);
        prepared = true;
    }
    random_failed = false;
    return psa_crypto_init() == PSA_SUCCESS;
}

bool tls_platform_random_failed(void)
{
    return random_failed;
}
