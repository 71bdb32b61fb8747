/* SPDX-License-Identifier: Apache-2.0 */
/* A key pair made on the chip, and the request to certify it: PKCS#10, RFC 2986. */
#ifndef KEY_REQUEST_H
#define KEY_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include "mbedtls/pk.h"

/* DER of the request and of the key, with room to spare. */
enum { KEY_REQUEST_SIZE = 512 };

/* P-256, every bit from the hardware generator and its health tests, none from a seeded one. false: the generator failed
 * (or there is no memory), and there is no key. mbedtls_pk_free must follow in any case. */
bool key_request_make_key(mbedtls_pk_context *key);

/* The request for this key, signed with it, in DER. It names nobody in particular: who a device is, the server decides
 * by whom it gives the certificate to, not by what the device says of itself. Returns its length; 0: no memory. */
size_t key_request_write(mbedtls_pk_context *key, unsigned char to[KEY_REQUEST_SIZE]);
#endif
