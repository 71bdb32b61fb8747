/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/content.h"
#include <string.h>
#include "storage/tlv.h"

enum { HEAD = 2 };

size_t content_size(const struct blob *values, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (values[i].length == 0 || values[i].length > UINT16_MAX) {
            return 0;
        }
        size += HEAD + values[i].length;
    }
    return size;
}

void content_write(const struct blob *values, size_t count, uint8_t *to)
{
    for (size_t i = 0; i < count; i++) {
        to[0] = (uint8_t)values[i].length;
        to[1] = (uint8_t)(values[i].length >> 8);
        memcpy(to + HEAD, values[i].data, values[i].length);
        to += HEAD + values[i].length;
    }
}

bool content_next(struct blob *rest, struct blob *value)
{
    if (rest->length <= HEAD) {
        return false;
    }
    size_t length = rest->data[0] | (size_t)rest->data[1] << 8;
    if (length == 0 || length > rest->length - HEAD) {
        return false;
    }
    *value = (struct blob){ rest->data + HEAD, length };
    rest->data += HEAD + length;
    rest->length -= HEAD + length;
    return true;
}

bool content_take(struct blob content, uint16_t tag, struct credentials *out)
{
    struct blob value;
    bool any = false;
    for (; content_next(&content, &value); any = true) {
        struct blob *to = tag == TLV_KEY ? &out->key : &out->certificate;
        if (tag == TLV_ANCHOR) {
            if (out->anchor_count == CONFIG_ANCHORS_MAX) {
                return false;
            }
            to = &out->anchors[out->anchor_count++];
        }
        if (to->length) {
            return false;
        }
        *to = value;
    }
    return any && content.length == 0;
}
