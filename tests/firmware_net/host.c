/* SPDX-License-Identifier: Apache-2.0 */
/* The device's network code as a shared library: the test drives clock, UART and stream through callbacks. */
#include <string.h>
#include "board/clock.h"
#include "board/idle.h"
#include "net/modem.h"
#include "drivers/modem_uart.h"
#include "net/mqtt.h"

static struct {
    void (*idle)(void);
    void (*uart_write)(const uint8_t *from, size_t length);
    size_t (*uart_read)(uint8_t *to, size_t capacity);
    bool (*send)(const uint8_t *from, size_t length);
    int (*receive)(uint8_t *to, size_t capacity, uint32_t timeout_ms);  /* bytes, or -1: the stream has failed */
    void (*message)(const char *topic, size_t topic_length, const uint8_t *payload, size_t payload_length);
} calls;

static uint64_t now_us;
static struct modem_uart_counters counters;
static struct mqtt_session session;

void host_set_calls(void *idle_call, void *uart_write, void *uart_read, void *send, void *receive, void *message)
{
    calls.idle = (void (*)(void))idle_call;
    calls.uart_write = (void (*)(const uint8_t *, size_t))uart_write;
    calls.uart_read = (size_t (*)(uint8_t *, size_t))uart_read;
    calls.send = (bool (*)(const uint8_t *, size_t))send;
    calls.receive = (int (*)(uint8_t *, size_t, uint32_t))receive;
    calls.message = (void (*)(const char *, size_t, const uint8_t *, size_t))message;
}

void host_pass_time(uint64_t us) { now_us += us; }
uint64_t host_now_us(void) { return now_us; }
void host_lose_uart_byte(void) { counters.overrun++; }

static uint32_t backup[20];
uint32_t rtc_backup_get(unsigned index) { return backup[index]; }
void rtc_backup_set(unsigned index, uint32_t value) { backup[index] = value; }
void host_set_backup(unsigned index, uint32_t value) { backup[index] = value; }

/* what the board gives the network code */
uint32_t time_ms(void) { return (uint32_t)(now_us / 1000); }
uint64_t time_us(void) { return now_us; }
void idle(void) { calls.idle(); }
size_t modem_uart_read(void *to, size_t capacity) { return calls.uart_read(to, capacity); }
void modem_uart_write(const void *from, size_t length) { calls.uart_write(from, length); }
struct modem_uart_counters modem_uart_counters(void) { return counters; }

void modem_uart_discard(void)
{
    uint8_t dropped[64];
    while (modem_uart_read(dropped, sizeof dropped) > 0) {
    }
}

/* the MQTT session on a stream of the test's */
static bool stream_send(void *context, const uint8_t *data, size_t length)
{
    (void)context;
    return calls.send(data, length);
}

static bool stream_receive(void *context, uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    (void)context;
    int count = calls.receive(to, capacity, timeout_ms);
    *length = count > 0 ? (size_t)count : 0;
    return count >= 0;
}

static void on_message(const struct mqtt_publish *message)
{
    calls.message(message->topic, message->topic_length, message->payload, message->payload_length);
}

int host_mqtt_open(const char *client_id, uint16_t keep_alive_s)
{
    session.stream = (struct mqtt_stream){ NULL, stream_send, stream_receive };
    session.on_message = on_message;
    return mqtt_open(&session, client_id, keep_alive_s);
}

int host_mqtt_return_code(void) { return session.return_code; }
int host_mqtt_publish(const char *topic, const char *payload, uint8_t qos)
{
    return mqtt_publish(&session, topic, payload, qos);
}
int host_mqtt_subscribe(const char *filter, uint8_t *granted) { return mqtt_subscribe(&session, filter, 1, granted); }
int host_mqtt_serve(uint32_t ms) { return mqtt_serve(&session, deadline_in(ms)); }
void host_mqtt_close(void) { mqtt_close(&session); }

/* the codec with flat arguments */
size_t host_encode_publish(uint8_t *to, size_t size, const char *topic, size_t topic_length, const uint8_t *payload,
                           size_t payload_length, uint8_t qos, bool duplicate, bool retain, uint16_t packet_id)
{
    struct mqtt_publish publish = { topic, topic_length, payload, payload_length, 0, packet_id, qos, duplicate, retain };
    return mqtt_encode_publish(to, size, &publish);
}

/* out: type, remaining, header length, return code, packet id, QoS, duplicate, retain, topic offset and length,
 * payload offset and length; offsets count from the packet's first byte */
int host_decode(const uint8_t *from, size_t length, uint32_t out[12])
{
    struct mqtt_header header;
    struct mqtt_packet packet;
    enum mqtt_decoding decoding = mqtt_decode_header(from, length, &header);
    if (decoding == MQTT_DECODED) {
        decoding = mqtt_decode_body(&header, from + header.length, length - header.length, &packet);
    }
    if (decoding == MQTT_DECODED) {
        const struct mqtt_publish *publish = &packet.publish;
        bool is_publish = header.type == MQTT_PUBLISH;
        const uint32_t values[12] = {
            header.type, header.remaining, (uint32_t)header.length, packet.return_code,
            is_publish ? publish->packet_id : packet.packet_id, publish->qos, publish->duplicate, publish->retain,
            is_publish ? (uint32_t)((const uint8_t *)publish->topic - from) : 0, (uint32_t)publish->topic_length,
            is_publish ? (uint32_t)(publish->payload - from) : 0, (uint32_t)publish->payload_length,
        };
        memcpy(out, values, sizeof values);
    }
    return decoding;
}
