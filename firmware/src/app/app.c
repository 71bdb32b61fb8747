/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"
#include <stdbool.h>
#include <string.h>
#include "app/backoff.h"
#include "app/enrolment.h"
#include "app/telemetry.h"
#include "board/clock.h"
#include "board/idle.h"
#include "drivers/console.h"
#include "drivers/hall.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "drivers/watchdog.h"
#include "net/identity.h"
#include "net/modem.h"
#include "net/mqtt.h"
#include "net/tls.h"
#include "net/tls_platform.h"
#include "net/wall_clock.h"
#include "vault/credentials.h"
#include "vault/tamper.h"
#include "vault/vault.h"

/* A connection that lasted this long was a good one: the next failure starts with a short wait again. */
enum { STABLE_MS = 10000, LID_LOOK_MS = 100 };

/* Credentials must be found not to count so many times in a row before they are given up: one bad reading is no loss. */
enum { LOSSES_MAX = 3 };

/* As whom the device connects. */
enum role {
    ROLE_DEVICE,
    ROLE_CLAIM,    /* it has no identity of its own, and asks for one */
    ROLE_CANDIDATE /* with the certificate that is to replace its own: kept once the server has taken it */
};

static struct {
    const struct device_config *config;
    bool random_ready;
    bool lid_closed; /* as last printed */
    bool telling;    /* that it was opened, and nothing else any more */
    enum role role;
    unsigned losses; /* attempts in a row */
    struct issued issued;
    bool asked;   /* the owner has asked for another certificate */
    bool confirm; /* the owner does not know yet which one is in use */
    struct identity identity;
    struct tls_status stream; /* why the stream below MQTT failed */
    struct mqtt_session session;
    struct backoff backoff;
    uint32_t seq;    /* of the last telemetry; counts on over reconnections */
    bool publishing; /* next_publish counts */
    deadline_t next_publish;
} app;

/* The stages of a connection; also the words of `state: waiting reason=`. NULL stands for success. */
typedef const char *stage_t;

static void print_lid(void)
{
    app.lid_closed = hall_closed();
    console_line("hall", app.lid_closed ? "closed" : "open");
}

static void watch_lid(void)
{
    tamper_poll();
    if (hall_take_event() && hall_closed() != app.lid_closed) {
        print_lid();
    }
}

static stage_t prepare_random(void)
{
    if (app.random_ready && !tls_platform_random_failed()) {
        return NULL;
    }
    enum rng_result result = rng_init();
    console_line("rng", result == RNG_OK ? "ok" : "error %s", rng_result_word(result));
    app.random_ready = result == RNG_OK && tls_platform_init();
    return app.random_ready ? NULL : "rng";
}

/* The credentials do not load: whether the device is to get itself new ones. Those that were there are given up first,
 * if the owner wants it so. */
static bool wants_enrolment(enum storage_error error)
{
    uint8_t allowed = app.config->enrolment;
    if (!vault_lost(error)) {
        return false;
    }
    if (allowed & CONFIG_ENROL_FIRST && vault_empty()) {
        return true;
    }
    if (!(allowed & CONFIG_ENROL_LOST)) {
        return false;
    }
    if (vault_given_up()) { /* before a cut: there is nothing to be lost any more */
        return true;
    }
    if (++app.losses < LOSSES_MAX) {
        return false;
    }
    return vault_reset(app.config) == STORAGE_OK;
}

static void take_claim(struct credentials *out)
{
    const struct device_config *config = app.config;
    out->source = "claim";
    out->certificate = config->claim_certificate;
    out->key = config->claim_key;
    out->anchor_count = config->claim_anchor_count;
    memcpy(out->anchors, config->claim_anchors, sizeof out->anchors);
}

static struct blob issued_key(void)
{
    return (struct blob){ app.issued.key, app.issued.key_length };
}

static struct blob issued_certificate(void)
{
    return (struct blob){ app.issued.certificate, app.issued.certificate_length };
}

/* As whom to connect, and with what. */
static stage_t find_credentials(struct credentials *credentials)
{
    enum storage_error error = credentials_load(app.config, credentials);
    app.role = ROLE_DEVICE;
    if (error != STORAGE_OK) {
        credentials_wipe(app.config, credentials);
        if (!wants_enrolment(error)) {
            return "storage";
        }
        app.role = ROLE_CLAIM;
        take_claim(credentials);
    } else if (app.issued.key_length > 0) {
        app.role = ROLE_CANDIDATE;
        credentials->source = "issued";
        credentials->key = issued_key();
        credentials->certificate = issued_certificate();
    }
    if (app.role != ROLE_CLAIM) {
        app.losses = 0;
    }
    return NULL;
}

/* Read from the medium before each connection: a card changed meanwhile counts from now on. */
static stage_t load_identity(void)
{
    struct credentials credentials;
    stage_t failed = find_credentials(&credentials);
    if (failed != NULL) {
        return failed;
    }
    watchdog_kick();
    enum identity_result result = identity_parse(&app.identity, &credentials);
    for (size_t i = 0; i < app.identity.skipped_count && i < CONFIG_ANCHORS_MAX; i++) {
        const uint8_t *hash = app.identity.skipped[i];
        console_line("credentials", "skipped anchor=%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    }
    if (result == IDENTITY_OK) {
        const uint8_t *hash = app.identity.fingerprint;
        console_line("credentials", "ok source=%s certificate=%02x%02x%02x%02x", credentials.source, hash[0], hash[1],
                     hash[2], hash[3]);
    } else {
        console_line("credentials", "error %s", identity_result_word(result));
        identity_free(&app.identity);
    }
    credentials_wipe(app.config, &credentials);
    return result == IDENTITY_OK ? NULL : "credentials";
}

static stage_t start_modem(void)
{
    enum modem_result result = modem_start(app.config->ssid, app.config->passphrase);
    if (result == MODEM_OK) {
        console_line("modem", "ready");
        return NULL;
    }
    console_line("modem", "error %s", modem_result_word(result));
    return "modem";
}

/* false: the time lies before what the device knows already, and is not taken. */
static bool take_time(uint32_t unix_time, const char *source)
{
    char text[ISO8601_SIZE];
    wall_clock_text(text, unix_time);
    if (!wall_clock_set(unix_time)) {
        char floor[ISO8601_SIZE];
        wall_clock_text(floor, wall_clock_floor());
        console_line("clock", "refused %s source=%s floor=%s", text, source, floor);
        return false;
    }
    console_line("clock", "%s source=%s", text, source);
    return true;
}

/* Without any idea of the time no certificate can be judged, so there is no connection. */
static stage_t set_clock(void)
{
    uint32_t now;
    if (app.config->sntp_host[0] != '\0' && modem_sntp(app.config->sntp_host, &now) == MODEM_OK &&
        take_time(now, "sntp")) {
        (void)rtc_set(now);
        return NULL;
    }
    if (rtc_get(&now) && take_time(now, "rtc")) {
        return NULL;
    }
    console_line("clock", "error no-time");
    return "clock";
}

static void print_tls_failure(struct tls_status status)
{
    switch (status.outcome) {
    case TLS_OK:
        break;
    case TLS_REFUSED:
        console_line("tls", "refused reason=%s", status.word);
        break;
    case TLS_ALERT:
        console_line("tls", "alert %u %s", status.alert, status.word);
        break;
    case TLS_ERROR:
        console_line("tls", "error %s", status.word);
        break;
    }
}

static stage_t open_tls(void)
{
    const struct device_config *config = app.config;
    struct tls_status status = tls_open(config->host, config->port, config->tls_versions, &app.identity);
    if (status.outcome != TLS_OK) {
        print_tls_failure(status);
        return "tls";
    }
    console_line("tls", "connected version=%s suite=%s", tls_version_word(), tls_suite_word());
    wall_clock_confirm();
    return NULL;
}

static bool stream_send(void *context, const uint8_t *data, size_t length)
{
    struct tls_status *status = context;
    *status = tls_send(data, length);
    return status->outcome == TLS_OK;
}

/* With a lid that destroys the keys a wait is cut in pieces, and ends when it has been opened: there is something to say. */
static bool stream_receive(void *context, uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    struct tls_status *status = context;
    if (app.config->tamper_erases) {
        timeout_ms = timeout_ms < LID_LOOK_MS ? timeout_ms : LID_LOOK_MS;
        if (tamper_pending() && !app.telling) {
            *status = (struct tls_status){ TLS_ERROR, "tamper", 0 };
            return false;
        }
    }
    *status = tls_receive(to, capacity, timeout_ms, length);
    return status->outcome == TLS_OK;
}

static void on_message(const struct mqtt_publish *message)
{
    console_line("mqtt", "message topic=%.*s bytes=%lu", (int)message->topic_length, message->topic,
                 (unsigned long)message->payload_length);
    enrolment_message(&app.session, message);
    if (app.config->enrolment & CONFIG_ROTATE) {
        char topic[ENROLMENT_TOPIC_SIZE];
        enrolment_rotate_topic(topic, app.config->thing);
        if (message->payload_length > 0 && enrolment_is_on(message, topic)) {
            app.asked = enrolment_is_about(message, app.identity.fingerprint);
            app.confirm = !app.asked;
            app.session.leave = true;
        }
    }
}

/* A TLS 1.3 server that refuses our certificate can only say so after the handshake: then the failure is one of TLS. */
static stage_t explain_mqtt(enum mqtt_result result)
{
    if (result == MQTT_OK) {
        return NULL;
    }
    if (result == MQTT_REFUSED) {
        console_line("mqtt", "refused code=%u", app.session.return_code);
    } else if (result != MQTT_STREAM_FAILED) {
        console_line("mqtt", "error %s", mqtt_result_word(result));
    } else {
        bool plain_end = app.stream.outcome == TLS_ERROR && strcmp(app.stream.word, "closed") == 0;
        if (!plain_end) {
            print_tls_failure(app.stream);
        }
        if (plain_end || app.session.connected) {
            console_line("mqtt", "closed");
        }
        app.session.connected = false;
        return plain_end ? "mqtt" : "tls";
    }
    return "mqtt";
}

static enum mqtt_result publish_all(void)
{
    char payload[TELEMETRY_SIZE];
    const struct device_config *config = app.config;
    app.seq++;
    telemetry_write(payload, config->thing, app.seq, wall_clock_now());
    for (size_t i = 0; i < config->publish_count; i++) {
        uint8_t qos = i == 0 ? 1 : 0;
        enum mqtt_result result = mqtt_publish(&app.session, config->publish[i], payload, qos);
        if (result != MQTT_OK) {
            return result;
        }
        console_line("mqtt", "published topic=%s seq=%lu qos=%u", config->publish[i], (unsigned long)app.seq, qos);
    }
    wall_clock_confirm();
    return MQTT_OK;
}

static enum mqtt_result subscribe(const char *filter)
{
    uint8_t granted;
    enum mqtt_result result = mqtt_subscribe(&app.session, filter, 1, &granted);
    if (result == MQTT_OK) {
        console_line("mqtt", "subscribed filter=%s qos=%u", filter, granted);
    }
    return result;
}

static enum mqtt_result subscribe_all(void)
{
    enum mqtt_result result = MQTT_OK;
    for (size_t i = 0; i < app.config->subscribe_count && result == MQTT_OK; i++) {
        result = subscribe(app.config->subscribe[i]);
    }
    if (result == MQTT_OK && app.config->enrolment & CONFIG_ROTATE) {
        char topic[ENROLMENT_TOPIC_SIZE];
        enrolment_rotate_topic(topic, app.config->thing);
        result = subscribe(topic);
    }
    return result;
}

static void erase_key(void)
{
    identity_erase_key(&app.identity);
}

/* What the owner has asked for; *leave: there is a candidate to connect with. A refusal is not the end of the session. */
static enum mqtt_result serve_owner(bool *leave)
{
    enum mqtt_result result = MQTT_OK;
    app.session.leave = false;
    if (app.confirm) {
        app.confirm = false;
        result = enrolment_confirm(&app.session, app.config->thing, app.identity.fingerprint);
    }
    if (result == MQTT_OK && app.asked) {
        app.asked = false;
        tamper_session(false, NULL); /* a new key is about, which erase_key does not know */
        enum enrolment_result got = enrolment_renew(&app.session, app.config->thing, &app.issued, &result);
        if (got != ENROLMENT_OK) {
            tamper_session(true, erase_key);
        }
        *leave = got == ENROLMENT_OK;
        console_line("rotation", *leave ? "issued" : "error %s", enrolment_result_word(got));
    }
    return result;
}

/* Publishes on a fixed grid that reconnections do not shift: the receiver may judge a device by its rhythm. Returns
 * MQTT_OK only to connect with a candidate. */
static enum mqtt_result publish_forever(void)
{
    bool leave = false;
    if (!app.publishing) {
        app.publishing = true;
        app.next_publish = time_ms();
    }
    for (;;) {
        enum mqtt_result result = mqtt_serve(&app.session, app.next_publish);
        if (result == MQTT_OK && app.session.leave) {
            result = serve_owner(&leave);
            if (leave) {
                return result;
            }
        } else if (result == MQTT_OK) {
            app.next_publish += app.config->interval_ms;
            if (deadline_passed(app.next_publish)) {
                app.next_publish = deadline_in(app.config->interval_ms);
            }
            result = publish_all();
        }
        if (result != MQTT_OK) {
            return result;
        }
    }
}

/* The last thing this device ever says; the keys are gone already. */
static _Noreturn void tell_and_end(void)
{
    char payload[TELEMETRY_SIZE];
    app.telling = true;
    telemetry_write_event(payload, app.config->thing, "tamper");
    if (mqtt_publish(&app.session, app.config->publish[0], payload, 1) == MQTT_OK) {
        console_line("tamper", "told");
    }
    tamper_end();
}

/* With the candidate connected: the server takes it, so it may replace what is kept. */
static stage_t keep_candidate(void)
{
    const struct blob key = issued_key(), certificate = issued_certificate();
    const struct vault_update updates[] = { { CHUNK_DEVICE_KEY, &key, 1 },
                                            { CHUNK_DEVICE_CERTIFICATE, &certificate, 1 } };
    enum storage_error error = vault_store_all(app.config, updates, 2);
    enrolment_forget(&app.issued);
    if (error != STORAGE_OK) {
        return "storage"; /* connected as what it will not be any more */
    }
    app.role = ROLE_DEVICE;
    app.confirm = app.session.leave = true;
    console_line("rotation", "complete");
    return NULL;
}

static stage_t serve_as_device(void)
{
    stage_t failed = app.role == ROLE_CANDIDATE ? keep_candidate() : NULL;
    if (failed == NULL) {
        tamper_session(true, erase_key);
        enum mqtt_result result = subscribe_all();
        if (result == MQTT_OK) {
            result = publish_forever();
        }
        if (tamper_pending()) {
            tell_and_end();
        }
        tamper_session(false, NULL);
        failed = explain_mqtt(result);
    }
    return failed;
}

static stage_t serve_as_claimant(void)
{
    enum mqtt_result failure;
    enum enrolment_result result = enrolment_register(&app.session, app.config->thing, &app.issued, &failure);
    if (result == ENROLMENT_OK) {
        console_line("enrolment", "issued");
        return NULL;
    }
    console_line("enrolment", "error %s", enrolment_result_word(result));
    stage_t failed = explain_mqtt(failure);
    return failed != NULL ? failed : "enrolment";
}

static stage_t run_mqtt(void)
{
    app.session.stream = (struct mqtt_stream){ &app.stream, stream_send, stream_receive };
    app.session.on_message = on_message;
    app.asked = app.confirm = false;
    stage_t failed = explain_mqtt(mqtt_open(&app.session, app.config->client_id, app.config->keep_alive_s));
    if (failed == NULL) {
        deadline_t stable = deadline_in(STABLE_MS);
        console_line("mqtt", "connected");
        failed = app.role == ROLE_CLAIM ? serve_as_claimant() : serve_as_device();
        if (deadline_passed(stable)) {
            backoff_reset(&app.backoff);
        }
    }
    mqtt_close(&app.session);
    return failed;
}

/* All in one update: what the device connects with next is either everything new, or nothing. */
static stage_t keep_issued(void)
{
    const struct device_config *config = app.config;
    const struct blob key = issued_key(), certificate = issued_certificate();
    const struct vault_update updates[] = { { CHUNK_DEVICE_KEY, &key, 1 },
                                            { CHUNK_DEVICE_CERTIFICATE, &certificate, 1 },
                                            { CHUNK_BROKER_CA, config->claim_anchors, config->claim_anchor_count } };
    enum storage_error error = vault_store_all(config, updates, 3);
    enrolment_forget(&app.issued);
    if (error != STORAGE_OK) {
        return "storage";
    }
    app.losses = 0;
    console_line("enrolment", "complete");
    return NULL;
}

static stage_t run_network(void)
{
    stage_t failed = start_modem();
    if (failed == NULL) {
        failed = set_clock();
    }
    if (failed == NULL) {
        failed = open_tls();
        if (failed == NULL) {
            failed = run_mqtt();
        }
        tls_close();
    }
    return failed;
}

static stage_t run_connection(void)
{
    stage_t failed = prepare_random();
    if (failed == NULL) {
        failed = load_identity();
    }
    if (failed == NULL) {
        failed = run_network();
        identity_free(&app.identity);
    }
    if (failed == NULL && app.role == ROLE_CLAIM) {
        failed = keep_issued();
    }
    if (failed != NULL) {
        enrolment_forget(&app.issued); /* a candidate the server does not take, too: back to what is kept */
    }
    return failed;
}

static void wait_after(stage_t failed)
{
    uint32_t random;
    if (rng_fill(&random, sizeof random) != RNG_OK) {
        app.random_ready = false; /* the next attempt starts with its health test */
        random = UINT32_MAX;      /* the zero it leaves would mean the shortest wait, again and again */
    }
    uint32_t wait_ms = backoff_next(&app.backoff, random);
    deadline_t end = deadline_in(wait_ms);
    console_line("state", "waiting reason=%s retry_ms=%lu", failed, (unsigned long)wait_ms);
    while (!deadline_passed(end)) {
        idle();
    }
}

_Noreturn void app_run(const struct device_config *config)
{
    app.config = config;
    print_lid();
    idle_set_errand(watch_lid);
    for (;;) {
        stage_t failed = run_connection();
        if (failed != NULL) {
            wait_after(failed);
        }
    }
}
