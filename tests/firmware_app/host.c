/* SPDX-License-Identifier: Apache-2.0 */
/* The application alone, with everything below it played by a script.
 *   host MILLISECONDS [NAME=ANSWER,ANSWER...]...
 * Each fake takes the next answer of its name ("ok" when none is left) and prints what it was asked; the program ends
 * when the virtual time is over. Time passes only in idle() and in mqtt_serve(). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "app/app.h"
#include "app/enrolment.h"
#include "board/clock.h"
#include "board/format.h"
#include "board/idle.h"
#include "drivers/console.h"
#include "drivers/hall.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "net/identity.h"
#include "net/modem.h"
#include "net/mqtt.h"
#include "net/tls.h"
#include "net/tls_platform.h"
#include "net/wall_clock.h"
#include "vault/credentials.h"
#include "vault/tamper.h"
#include "vault/vault.h"

static uint64_t now_us;
static uint32_t end_ms;
static char *scripts[32];
static int script_count;
static void (*errand)(void);
static bool entropy_failed;

static void say(const char *format, ...)
{
    va_list arguments;
    printf("%" PRIu64 " ", now_us / 1000);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* The next answer for `name`, cut off its list. */
static const char *answer(const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < script_count; i++) {
        if (strncmp(scripts[i], name, length) == 0 && scripts[i][length] == '=' && scripts[i][length + 1]) {
            char *first = scripts[i] + length + 1, *comma = strchr(first, ',');
            static char taken[64];
            size_t n = comma ? (size_t)(comma - first) : strlen(first);
            memcpy(taken, first, n);
            taken[n] = 0;
            memmove(first, comma ? comma + 1 : first + n, strlen(comma ? comma + 1 : first + n) + 1);
            return taken;
        }
    }
    return "ok";
}

/* What the next answer begins with; it stays. */
static const char *peek(const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < script_count; i++)
        if (strncmp(scripts[i], name, length) == 0 && scripts[i][length] == '=')
            return scripts[i] + length + 1;
    return "";
}

static bool good(const char *name)
{
    return strcmp(answer(name), "ok") == 0;
}

static void pass(uint32_t ms)
{
    now_us += (uint64_t)ms * 1000;
    if (now_us / 1000 >= end_ms)
        exit(0);
}

uint32_t time_ms(void) { return (uint32_t)(now_us / 1000); }
uint64_t time_us(void) { return now_us; }
void idle_set_errand(void (*work)(void)) { errand = work; }
void idle(void)
{
    if (errand)
        errand();
    pass(1);
}
void watchdog_kick(void) {}

void console_line(const char *tag, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    format_text(text, sizeof text, format, arguments);
    va_end(arguments);
    say("> %s: %s", tag, text);
}

static bool closed = true;
bool hall_closed(void) { return closed; }
bool hall_take_event(void)
{
    const char *what = answer("hall");
    if (strcmp(what, "ok") == 0 || strcmp(what, "-") == 0)
        return false;
    closed = strcmp(what, "closed") == 0;
    return true;
}

const char *rng_result_word(enum rng_result result) { return result == RNG_OK ? "ok" : "seed"; }
enum rng_result rng_init(void)
{
    entropy_failed = false;
    return good("rng_init") ? RNG_OK : RNG_ERROR_SEED;
}
enum rng_result rng_fill(void *to, size_t length)
{
    const char *value = answer("rng_fill");
    if (strcmp(value, "fail") == 0) {
        memset(to, 0, length);
        return RNG_ERROR_SEED;
    }
    uint32_t number = strcmp(value, "ok") == 0 ? 499 : (uint32_t)strtoul(value, NULL, 0);
    memcpy(to, &number, length < 4 ? length : 4);
    return RNG_OK;
}
bool tls_platform_init(void)
{
    say("tls_platform_init");
    return good("tls_platform_init");
}
bool tls_platform_random_failed(void) { return entropy_failed; }

bool rtc_get(uint32_t *unix_time)
{
    const char *value = answer("rtc_get");
    *unix_time = strcmp(value, "ok") == 0 ? 0 : (uint32_t)strtoul(value, NULL, 0);
    return *unix_time != 0;
}
bool rtc_set(uint32_t unix_time)
{
    say("rtc_set %u", (unsigned)unix_time);
    return true;
}
static uint32_t backup[20];
uint32_t rtc_backup_get(unsigned index) { return backup[index]; }
void rtc_backup_set(unsigned index, uint32_t value) { backup[index] = value; }

static const char fake_key[] = "the-key-of-the-device";
enum storage_error credentials_load(const struct device_config *config, struct credentials *out)
{
    memset(out, 0, sizeof *out);
    say("credentials_load");
    out->source = config->medium->name;
    out->key = (struct blob){ (const uint8_t *)fake_key, sizeof fake_key };
    const char *word = answer("credentials_load");
    return strcmp(word, "ok") == 0 ? STORAGE_OK : strcmp(word, "lost") == 0 ? STORAGE_RECORD : STORAGE_NO_CARD;
}
bool vault_lost(enum storage_error error) { return error == STORAGE_RECORD; }
bool vault_empty(void) { return good("vault_empty"); }
bool vault_given_up(void) { return strcmp(answer("vault_given_up"), "yes") == 0; }
enum storage_error vault_reset(const struct device_config *config)
{
    (void)config;
    say("vault_reset");
    return good("vault_reset") ? STORAGE_OK : STORAGE_NO_CARD;
}
enum storage_error vault_store_all(const struct device_config *config, const struct vault_update *updates, size_t count)
{
    (void)config;
    for (size_t i = 0; i < count; i++)
        say("vault_store_all chunk=%d %.*s x%zu", updates[i].chunk, (int)updates[i].values->length,
            (const char *)updates[i].values->data, updates[i].count);
    return good("vault_store_all") ? STORAGE_OK : STORAGE_NO_CARD;
}

/* the dialogues, played: answers are "ok" or the word of a result */
const char *enrolment_result_word(enum enrolment_result result)
{
    return result == ENROLMENT_OK ? "ok" : result == ENROLMENT_REJECTED ? "rejected" : "mqtt";
}
static enum enrolment_result play(const char *name, struct mqtt_session *session, const char *thing, struct issued *out,
                                  enum mqtt_result *failure)
{
    static unsigned number;
    const char *word = answer(name);
    size_t length;
    uint8_t byte;
    say("%s %s", name, thing);
    memset(out, 0, sizeof *out);
    *failure = MQTT_OK;
    if (strcmp(word, "stream") == 0) {
        (void)session->stream.receive(session->stream.context, &byte, 1, 0, &length);
        *failure = MQTT_STREAM_FAILED;
        return ENROLMENT_MQTT;
    }
    if (strcmp(word, "ok") != 0)
        return ENROLMENT_REJECTED;
    number++;
    out->key_length = (size_t)sprintf((char *)out->key, "made-key-%u", number);
    out->certificate_length = (size_t)sprintf((char *)out->certificate, "certificate-%u", number);
    return ENROLMENT_OK;
}
enum enrolment_result enrolment_register(struct mqtt_session *session, const char *thing, struct issued *out,
                                         enum mqtt_result *failure)
{
    return play("enrolment_register", session, thing, out, failure);
}
enum enrolment_result enrolment_renew(struct mqtt_session *session, const char *thing, struct issued *out,
                                      enum mqtt_result *failure)
{
    return play("enrolment_renew", session, thing, out, failure);
}
enum mqtt_result enrolment_confirm(struct mqtt_session *session, const char *thing, const uint8_t fingerprint[32])
{
    (void)session;
    say("enrolment_confirm %s %02x", thing, fingerprint[0]);
    return MQTT_OK;
}
void enrolment_rotate_topic(char to[ENROLMENT_TOPIC_SIZE], const char *thing) { sprintf(to, "%s/rotate", thing); }
void enrolment_message(struct mqtt_session *session, const struct mqtt_publish *message) { (void)session, (void)message; }
bool enrolment_is_on(const struct mqtt_publish *message, const char *topic)
{
    return message->topic_length == strlen(topic) && memcmp(message->topic, topic, message->topic_length) == 0;
}
bool enrolment_is_about(const struct mqtt_publish *request, const uint8_t fingerprint[32])
{
    (void)fingerprint;
    return request->payload_at_hand == 3 && memcmp(request->payload, "own", 3) == 0;
}
void enrolment_forget(struct issued *issued)
{
    if (issued->key_length)
        say("enrolment_forget");
    memset(issued, 0, sizeof *issued);
}
void credentials_wipe(const struct device_config *config, struct credentials *out)
{
    (void)config;
    say("credentials_wipe");
    memset(out, 0, sizeof *out);
}
const char *identity_result_word(enum identity_result result)
{
    return result == IDENTITY_KEY_MISMATCH ? "key-mismatch" : "ok";
}
enum identity_result identity_parse(struct identity *identity, const struct credentials *credentials)
{
    say("identity_parse key=%s", (const char *)credentials->key.data);
    memset(identity->fingerprint, 0xAB, sizeof identity->fingerprint);
    if (strcmp(answer("entropy"), "fail") == 0)
        entropy_failed = true;
    return good("identity_parse") ? IDENTITY_OK : IDENTITY_KEY_MISMATCH;
}
void identity_free(struct identity *identity)
{
    (void)identity;
    say("identity_free");
}

void identity_erase_key(struct identity *identity)
{
    (void)identity;
    say("identity_erase_key");
}

/* the lid: a "tamper=pending" has been seen from the next look on */
static bool pending, session_up;
static void (*erase_keys)(void);
void tamper_session(bool up, void (*erase)(void))
{
    session_up = up;
    erase_keys = erase;
}
bool tamper_pending(void)
{
    if (session_up && !pending && strcmp(answer("tamper"), "pending") == 0) {
        pending = true;
        erase_keys();
    }
    return pending;
}
void tamper_poll(void) {}
_Noreturn void tamper_end(void)
{
    say("tamper_end");
    exit(0);
}

const char *modem_result_word(enum modem_result result) { return result == MODEM_OK ? "ok" : "no-answer"; }
enum modem_result modem_start(const char *ssid, const char *passphrase)
{
    say("modem_start %s %s", ssid, passphrase);
    return good("modem_start") ? MODEM_OK : MODEM_NO_ANSWER;
}
enum modem_result modem_sntp(const char *host, uint32_t *unix_time)
{
    const char *value = answer("modem_sntp");
    say("modem_sntp %s", host);
    if (strcmp(value, "fail") == 0)
        return MODEM_NO_TIME;
    *unix_time = strcmp(value, "ok") == 0 ? 1780300000 + time_ms() / 1000 : (uint32_t)strtoul(value, NULL, 0);
    return MODEM_OK;
}

static struct tls_status status_of(const char *word)
{
    static char kept[64];
    if (strcmp(word, "ok") == 0)
        return (struct tls_status){ TLS_OK, "ok", 0 };
    strcpy(kept, word + 2);
    enum tls_outcome outcome = word[0] == 'r' ? TLS_REFUSED : word[0] == 'a' ? TLS_ALERT : TLS_ERROR;
    return (struct tls_status){ outcome, kept, outcome == TLS_ALERT ? 42 : 0 };
}
struct tls_status tls_open(const char *host, uint16_t port, uint8_t versions, struct identity *identity)
{
    say("tls_open %s:%u versions=%u fingerprint=%02x time=%u", host, port, versions, identity->fingerprint[0],
        (unsigned)wall_clock_now());
    return status_of(answer("tls_open"));
}
const char *tls_version_word(void) { return "TLSv1.3"; }
const char *tls_suite_word(void) { return "SUITE"; }
struct tls_status tls_send(const uint8_t *data, size_t length)
{
    (void)data, (void)length;
    return status_of(answer("tls_send"));
}
struct tls_status tls_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    (void)to, (void)capacity, (void)timeout_ms;
    *length = 0;
    return status_of(answer("tls_receive"));
}
void tls_close(void) { say("tls_close"); }

const char *mqtt_result_word(enum mqtt_result result) { return result == MQTT_NO_PUBACK ? "no-puback" : "other"; }
static enum mqtt_result mqtt_answer(struct mqtt_session *session, const char *name)
{
    const char *word = answer(name);
    size_t length;
    uint8_t byte;
    if (strcmp(word, "ok") == 0)
        return MQTT_OK;
    if (strcmp(word, "stream") == 0) {
        (void)session->stream.receive(session->stream.context, &byte, 1, 0, &length);
        return MQTT_STREAM_FAILED;
    }
    session->return_code = 5;
    return strcmp(word, "refused") == 0 ? MQTT_REFUSED : MQTT_NO_PUBACK;
}
enum mqtt_result mqtt_open(struct mqtt_session *session, const char *client_id, uint16_t keep_alive_s)
{
    session->leave = false;
    say("mqtt_open %s %u", client_id, keep_alive_s);
    enum mqtt_result result = mqtt_answer(session, "mqtt_open");
    session->connected = result == MQTT_OK;
    return result;
}
enum mqtt_result mqtt_subscribe(struct mqtt_session *session, const char *filter, uint8_t qos, uint8_t *granted)
{
    *granted = qos;
    say("mqtt_subscribe %s %u", filter, qos);
    return mqtt_answer(session, "mqtt_subscribe");
}
enum mqtt_result mqtt_publish(struct mqtt_session *session, const char *topic, const char *payload, uint8_t qos)
{
    say("mqtt_publish %s %u %s", topic, qos, payload);
    return mqtt_answer(session, "mqtt_publish");
}
/* "m:<payload>": the owner's request comes in. */
enum mqtt_result mqtt_serve(struct mqtt_session *session, deadline_t until)
{
    if (session->leave)
        return MQTT_OK;
    const char *payload = strncmp(peek("mqtt_serve"), "m:", 2) == 0 ? answer("mqtt_serve") + 2 : NULL;
    if (payload) {
        struct mqtt_publish message = { .topic = "thing-1/rotate", .topic_length = 14, .payload = (const uint8_t *)payload,
            .payload_length = strlen(payload), .payload_at_hand = strlen(payload) };
        session->on_message(&message);
        return MQTT_OK;
    }
    enum mqtt_result result = mqtt_answer(session, "mqtt_serve");
    while (result == MQTT_OK && !deadline_passed(until))
        idle();
    return result;
}
void mqtt_close(struct mqtt_session *session)
{
    session->connected = false;
    say("mqtt_close");
}

int main(int argc, char **argv)
{
    static const struct medium card = { .name = "sd" };
    static struct device_config config = { .medium = &card, .thing = "thing-1", .client_id = "client-1",
        .host = "broker.test", .port = 8883, .publish_count = 2, .publish = { "own", "feed" }, .subscribe_count = 1,
        .subscribe = { "commands" }, .sntp_host = "time.test", .interval_ms = 2000, .keep_alive_s = 60,
        .tls_versions = 3, .ssid = "net", .passphrase = "secret", .claim_key = { (const uint8_t *)"claim-key", 10 },
        .claim_anchor_count = 1, .claim_anchors = { { (const uint8_t *)"claim-anchor", 12 } }, .tamper_erases = true };
    end_ms = (uint32_t)strtoul(argv[1], NULL, 0);
    for (int i = 2; i < argc; i++)
        scripts[script_count++] = argv[i];
    config.enrolment = strcmp(peek("enrolment"), "") == 0 ? 0 : (uint8_t)strtoul(peek("enrolment"), NULL, 0);
    backup[0] = (uint32_t)strtoul(peek("noise"), NULL, 0); /* without its complement */
    app_run(&config);
}
