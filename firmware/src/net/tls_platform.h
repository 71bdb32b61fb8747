/* SPDX-License-Identifier: Apache-2.0 */
/* What Mbed TLS needs from the device: memory, entropy, time. */
#ifndef TLS_PLATFORM_H
#define TLS_PLATFORM_H
#include <stdbool.h>

/* Call with a healthy RNG, before anything else of Mbed TLS; again after a failure. false: no random numbers. */
bool tls_platform_init(void);

bool tls_platform_random_failed(void); /* since the last tls_platform_init */
#endif
