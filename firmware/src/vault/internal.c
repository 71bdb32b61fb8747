/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/internal.h"
#include <string.h>
#include "storage/tlv.h"
#include "vault/config.h"
#include "vault/credentials.h"

static enum storage_error load(const struct device_config *config, struct credentials *out)
{
    out->source = "internal";
    out->anchor_count = config->anchor_count;
    memcpy(out->anchors, config->anchors, sizeof out->anchors);
    out->certificate = config->certificate;
    out->key = config->key;
    return STORAGE_OK;
}

const struct scheme SCHEME_INTERNAL = { "internal", 0,
                                        false,      1u << TLV_ANCHOR | 1u << TLV_CERTIFICATE | 1u << TLV_KEY,
                                        load,       NULL };
