/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/chunk.h"
#include "storage/tlv.h"

const struct chunk_place *chunk_place(enum chunk chunk)
{
    static const struct chunk_place places[CHUNK_COUNT] = {
        [CHUNK_DEVICE_KEY] = { "device-key", TLV_KEY, 0x0000, 2048 },
        [CHUNK_DEVICE_CERTIFICATE] = { "device-certificate", TLV_CERTIFICATE, 0x1000, 2048 },
        [CHUNK_BROKER_CA] = { "broker-ca", TLV_ANCHOR, 0x2000, 4096 },
        [CHUNK_CONFIGURATION_CA] = { "configuration-ca", 0, 0x4000, 2048 },
        [CHUNK_SETTINGS] = { "settings", 0, 0x5000, 2048 },
        [CHUNK_OWNER_DATA] = { "owner-data", 0, 0x6000, 4096 },
    };
    return &places[chunk];
}
