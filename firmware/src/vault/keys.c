/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keys.h"
#include <string.h>
#include "mbedtls/hkdf.h"
#include "storage/wipe.h"
#include "vault/counters.h"

static const char LABEL[] = "offchip vault 1"; /* with its NUL: no label is the beginning of another */

bool derive_key(const uint8_t *secret, const char *scheme, enum chunk chunk, uint8_t *key, size_t length)
{
    uint8_t info[sizeof LABEL + 17];
    size_t scheme_length = strlen(scheme) + 1;
    memcpy(info, LABEL, sizeof LABEL);
    memcpy(info + sizeof LABEL, scheme, scheme_length);
    info[sizeof LABEL + scheme_length] = (uint8_t)chunk;
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    int code =
        mbedtls_hkdf(sha256, NULL, 0, secret, DEVICE_SECRET_SIZE, info, sizeof LABEL + scheme_length + 1, key, length);
    if (code != 0) {
        wipe(key, length);
    }
    return code == 0;
}
