/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT 3.1.1 control packets (OASIS standard, sections 2 and 3) to and from bytes; no state, no input or output. */
#ifndef MQTT_PACKET_H
#define MQTT_PACKET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT
};

enum { MQTT_SUBACK_FAILURE = 0x80, MQTT_FIXED_HEADER_MAX = 5 };

struct mqtt_publish {
    const char *topic; /* not NUL-terminated after decoding */
    size_t topic_length;
    const uint8_t *payload;
    size_t payload_length;  /* decoding: as announced, though only a part may be at hand */
    size_t payload_at_hand; /* decoding only */
    uint16_t packet_id;     /* QoS 1 only */
    uint8_t qos;
    bool duplicate;
    bool retain;
};

/* Each encoder returns the length of the packet, or 0 if it does not fit in `size` or a field is out of range. */
size_t mqtt_encode_connect(uint8_t *to, size_t size, const char *client_id, uint16_t keep_alive_s);
size_t mqtt_encode_publish(uint8_t *to, size_t size, const struct mqtt_publish *publish);
size_t mqtt_encode_subscribe(uint8_t *to, size_t size, uint16_t packet_id, const char *filter, uint8_t qos);
size_t mqtt_encode_puback(uint8_t *to, size_t size, uint16_t packet_id);
size_t mqtt_encode_empty(uint8_t *to, size_t size, enum mqtt_type type); /* PINGREQ, DISCONNECT */

enum mqtt_decoding { MQTT_DECODED, MQTT_INCOMPLETE, MQTT_MALFORMED };

struct mqtt_header {
    enum mqtt_type type;
    uint8_t flags;
    uint32_t remaining; /* bytes behind the fixed header */
    size_t length;      /* of the fixed header */
};

struct mqtt_packet {
    struct mqtt_header header;
    uint8_t return_code; /* CONNACK; SUBACK (the first one) */
    uint16_t packet_id;  /* PUBACK, SUBACK */
    struct mqtt_publish publish;
};

/* Fixed header. Types and flags a server must not send are malformed. */
enum mqtt_decoding mqtt_decode_header(const uint8_t *from, size_t available, struct mqtt_header *header);

/* The rest of the packet of which `available` bytes are at `body`. A PUBLISH needs only its topic and packet id there,
 * so that payloads larger than the buffer can be counted; everything else must be complete. */
enum mqtt_decoding mqtt_decode_body(const struct mqtt_header *header, const uint8_t *body, size_t available,
                                    struct mqtt_packet *packet);
#endif
