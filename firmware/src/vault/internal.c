/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/internal.h"
#include <stddef.h>
#include "storage/tlv.h"

/* What stays on the chip is the same for all schemes; this one has nothing else. */
const struct scheme SCHEME_INTERNAL = {
    .name = "internal",
    .on_chip = 1u << TLV_ANCHOR | 1u << TLV_CERTIFICATE | 1u << TLV_KEY,
};
