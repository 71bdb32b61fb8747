/* SPDX-License-Identifier: Apache-2.0 */
/* Order of an update, SPEC section 9: numbers of the seals to flash - new versions beside those that count, on the medium
 * and in the log of the flash, each read back - one entry in the log: from here on the new ones count, all of them - old
 * ones overwritten. A cut leaves all old or all new, never neither. */
#include "vault/vault.h"
#include <string.h>
#include "board/chip_map.h"
#include "drivers/console.h"
#include "drivers/rng.h"
#include "storage/tlv.h"
#include "storage/wipe.h"
#include "vault/content.h"
#include "vault/counters.h"
#include "vault/medium.h"

static volatile bool busy;

bool vault_busy(void)
{
    return busy;
}

static struct vault open_vault(const struct device_config *config, struct credentials *out)
{
    const struct scheme *scheme = config->scheme;
    struct vault vault = { .config = config, .medium = config->medium, .out = out };
    vault.record = (struct record_context){ .format = scheme->format, .scheme = scheme->name, .code = scheme->code };
    memcpy(vault.record.identity, (const void *)UID_START, sizeof vault.record.identity);
    memset(out, 0, sizeof *out);
    return vault;
}

/* Errors of the medium as a whole: of scheme->load they have been printed. */
static enum storage_error print_error(enum storage_error error)
{
    return error ? credentials_error_file(error, "VAULT.BIN") : STORAGE_OK;
}

static bool on_chip(const struct scheme *scheme, enum chunk chunk)
{
    uint16_t tag = chunk_place(chunk)->tag;
    return !scheme->uses_medium || (tag && scheme->on_chip & 1u << tag);
}

static bool all_zero(struct blob blob)
{
    for (size_t i = 0; i < blob.length; i++) {
        if (blob.data[i]) {
            return false;
        }
    }
    return true;
}

static enum storage_error create_state(const struct scheme *scheme)
{
    uint8_t secret[DEVICE_SECRET_SIZE];
    if (scheme->format == NULL) {
        return counters_create(NULL) ? STORAGE_OK : STORAGE_FLASH;
    }
    enum storage_error error = rng_fill(secret, sizeof secret) == RNG_OK ? STORAGE_OK : STORAGE_RNG;
    if (!error && !counters_create(secret)) {
        error = STORAGE_FLASH;
    }
    wipe(secret, sizeof secret);
    if (!error) {
        console_line("vault", "secret created");
    }
    return error;
}

/* a reset ----------------------------------------------------------------------------------------------------------- */

static enum storage_error wipe_medium(struct vault *vault)
{
    return vault->config->scheme->uses_medium ? vault->config->scheme->erase(vault, UINT32_MAX, true) : STORAGE_OK;
}

/* From the mark on; the medium has been found present. */
static enum storage_error finish_reset(struct vault *vault)
{
    if (!config_erase_key() || !counters_tidy()) {
        return STORAGE_FLASH;
    }
    enum storage_error error = wipe_medium(vault);
    if (!error && !counters_reset_end()) {
        error = STORAGE_FLASH;
    }
    if (!error) {
        console_line("vault", "reset");
    }
    return error;
}

/* an update --------------------------------------------------------------------------------------------------------- */

struct update_plan {
    struct vault_update outside[CHUNK_COUNT]; /* for the scheme */
    size_t outside_count;
    size_t bytes_inside;
    uint32_t chunks; /* bit n: chunk n */
};

static enum storage_error plan_update(const struct vault *vault, const struct vault_update *updates, size_t count,
                                      struct update_plan *plan)
{
    const struct scheme *scheme = vault->config->scheme;
    memset(plan, 0, sizeof *plan);
    for (size_t i = 0; i < count; i++) {
        enum chunk chunk = updates[i].chunk;
        size_t size = content_size(updates[i].values, updates[i].count);
        bool inside = on_chip(scheme, chunk);
        size_t most = inside ? chunk_place(chunk)->size : scheme->size(vault, chunk);
        if (size == 0 || size > most || plan->chunks & 1u << chunk) {
            return STORAGE_MEMORY;
        }
        plan->chunks |= 1u << chunk;
        if (inside) {
            plan->bytes_inside += size;
        } else {
            plan->outside[plan->outside_count++] = updates[i];
        }
    }
    return STORAGE_OK;
}

static enum storage_error keep_on_chip(struct vault *vault, const struct vault_update *update)
{
    size_t before = vault->out->used, size = content_size(update->values, update->count);
    uint8_t *content = credentials_take(vault->out, size);
    if (content == NULL) {
        return STORAGE_MEMORY;
    }
    content_write(update->values, update->count, content);
    bool done = counters_keep(update->chunk, content, size);
    wipe(content, size);
    vault->out->used = before;
    return done ? STORAGE_OK : STORAGE_FLASH;
}

/* What no longer counts. An update is not undone by a failure here: the next start tries again. */
static enum storage_error forget_old(struct vault *vault, const struct update_plan *plan)
{
    const struct scheme *scheme = vault->config->scheme;
    enum storage_error error = plan->outside_count ? scheme->erase(vault, plan->chunks, false) : STORAGE_OK;
    bool key_replaced = plan->chunks & 1u << CHUNK_DEVICE_KEY && on_chip(scheme, CHUNK_DEVICE_KEY);
    if ((key_replaced && !config_erase_key()) || !counters_tidy()) {
        error = STORAGE_FLASH;
    }
    return error;
}

static enum storage_error apply(struct vault *vault, const struct vault_update *updates, size_t count)
{
    const struct scheme *scheme = vault->config->scheme;
    struct update_plan plan;
    enum storage_error error = plan_update(vault, updates, count, &plan);
    if (!error && !counters_reserve(counters_need(plan.bytes_inside, count))) {
        error = plan.bytes_inside ? STORAGE_MEMORY : STORAGE_FLASH;
    }
    vault->record.secret = counters_secret();
    uint32_t chunks = plan.chunks;
    if (!error && plan.outside_count) {
        error = scheme->store(vault, plan.outside, plan.outside_count, &chunks);
    }
    for (size_t i = 0; i < count && !error; i++) {
        error = on_chip(scheme, updates[i].chunk) ? keep_on_chip(vault, &updates[i]) : STORAGE_OK;
    }
    if (!error && !counters_commit(chunks)) {
        error = STORAGE_FLASH;
    }
    if (error) {
        return error;
    }
    (void)print_error(forget_old(vault, &plan));
    for (size_t i = 0; i < count; i++) {
        console_line("vault", "%s chunk=%s version=%lu", on_chip(scheme, updates[i].chunk) ? "kept" : "sealed",
                     chunk_place(updates[i].chunk)->name, (unsigned long)counters_version(updates[i].chunk));
    }
    return STORAGE_OK;
}

/* a start ----------------------------------------------------------------------------------------------------------- */

/* The factory's clear credentials in the second vault sector (SPEC section 8), until they are sealed. */
static bool pending(struct tlv_area *area)
{
    return tlv_record_open((const uint8_t *)VAULT_B_START, VAULT_B_SIZE, "OCP1", area) == TLV_RECORD_OK;
}

static enum storage_error seal_pending(struct vault *vault, struct tlv_area area)
{
    struct blob values[CHUNK_BROKER_CA + 1][CONFIG_ANCHORS_MAX] = { 0 };
    struct vault_update updates[CHUNK_BROKER_CA + 1];
    size_t count = 0;
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk <= CHUNK_BROKER_CA; chunk++) {
        struct tlv_area rest = area;
        struct tlv_entry entry;
        size_t n = 0;
        while (tlv_next(&rest, &entry) == TLV_ENTRY) {
            if (entry.tag == chunk_place(chunk)->tag && n < CONFIG_ANCHORS_MAX) {
                values[chunk][n++] = (struct blob){ entry.value, entry.length };
            }
        }
        if (n > 0 && !on_chip(vault->config->scheme, chunk)) {
            updates[count++] = (struct vault_update){ chunk, values[chunk], n };
        }
    }
    return apply(vault, updates, count);
}

/* Finishes what a cut left half-done; at the first boot: secret and first seals, the clear credentials go last. */
static enum storage_error start(struct vault *vault)
{
    struct tlv_area area;
    const struct scheme *scheme = vault->config->scheme;
    enum storage_error error = STORAGE_OK;
    bool state = counters_open(), to_seal = scheme->format && pending(&area);
    if (state && counters_resetting()) {
        error = finish_reset(vault);
    } else if (!state && to_seal) {
        error = create_state(scheme);
        state = true;
    }
    if (!error && !state) {
        error = !counters_clean() ? STORAGE_FLASH : scheme->format ? STORAGE_NO_SECRET : STORAGE_OK;
    }
    if (error || !state) {
        return error;
    }
    vault->record.secret = counters_secret();
    if (to_seal) {
        error = seal_pending(vault, area);
    }
    size_t length;
    bool key_is_here = counters_content(CHUNK_DEVICE_KEY, &length) != NULL;
    if (!error && ((key_is_here && !all_zero(vault->config->key) && !config_erase_key()) || !counters_tidy())) {
        error = STORAGE_FLASH;
    }
    vault->record.secret = counters_secret(); /* the sector in use may have changed */
    return scheme->format && vault->record.secret == NULL ? STORAGE_NO_SECRET : error;
}

/* What an update has brought, or else what the configuration page has. */
static enum storage_error load_on_chip(const struct device_config *config, enum chunk chunk, struct credentials *out)
{
    struct blob content;
    content.data = counters_content(chunk, &content.length);
    if (content.data != NULL) {
        uint16_t tag = chunk_place(chunk)->tag;
        return content_take(content, tag, out) ? STORAGE_OK : credentials_error_field(tag);
    }
    bool missing = false;
    switch (chunk) {
    case CHUNK_DEVICE_KEY:
        out->key = config->key;
        missing = all_zero(config->key);
        break;
    case CHUNK_DEVICE_CERTIFICATE:
        out->certificate = config->certificate;
        break;
    default:
        out->anchor_count = config->anchor_count;
        memcpy(out->anchors, config->anchors, sizeof out->anchors);
        break;
    }
    if (missing) {
        console_line("storage", "error record-missing %s", chunk_place(chunk)->name);
    }
    return missing ? STORAGE_RECORD : STORAGE_OK;
}

static enum storage_error present(const struct vault *vault)
{
    return vault->config->scheme->uses_medium ? vault->medium->present() : STORAGE_OK;
}

static enum storage_error load_all(struct vault *vault)
{
    const struct scheme *scheme = vault->config->scheme;
    enum storage_error error = present(vault);
    if (!error) {
        error = start(vault);
    }
    if (error) {
        return print_error(error);
    }
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk <= CHUNK_BROKER_CA && !error; chunk++) {
        error = on_chip(scheme, chunk) ? load_on_chip(vault->config, chunk, vault->out) : STORAGE_OK;
    }
    return error || !scheme->uses_medium ? error : scheme->load(vault);
}

enum storage_error credentials_load(const struct device_config *config, struct credentials *out)
{
    struct vault vault = open_vault(config, out);
    busy = true;
    out->source = config->scheme->uses_medium ? config->medium->name : "internal";
    enum storage_error error = load_all(&vault);
    busy = false;
    return error;
}

bool vault_lost(enum storage_error error)
{
    return error == STORAGE_RECORD || error == STORAGE_NO_SECRET || error == STORAGE_RECORD_MAGIC ||
           error == STORAGE_RECORD_CRC || error == STORAGE_RECORD_FIELD;
}

bool vault_empty(void)
{
    bool state = counters_open();
    for (enum chunk chunk = CHUNK_DEVICE_KEY; state && chunk <= CHUNK_RECORD; chunk++) {
        if (counters_version(chunk) > 0) {
            return false;
        }
    }
    return true;
}

/* A state to work on, whatever was there. */
static enum storage_error ready(struct vault *vault)
{
    enum storage_error error = present(vault);
    if (!error) {
        error = start(vault);
    }
    if (error && error != STORAGE_NO_SECRET) {
        return error;
    }
    const struct scheme *scheme = vault->config->scheme;
    bool good = counters_open() && (scheme->format == NULL || counters_secret() != NULL);
    return good ? STORAGE_OK : create_state(scheme);
}

bool vault_given_up(void)
{
    return counters_open() && counters_given_up();
}

enum storage_error vault_store_all(const struct device_config *config, const struct vault_update *updates, size_t count)
{
    struct credentials out;
    struct vault vault = open_vault(config, &out);
    busy = true;
    enum storage_error error = ready(&vault);
    if (!error) {
        error = apply(&vault, updates, count);
    }
    (void)print_error(error);
    credentials_wipe(config, &out);
    busy = false;
    return error;
}

enum storage_error vault_store(const struct device_config *config, enum chunk chunk, const void *value, size_t length)
{
    const struct blob blob = { value, length };
    const struct vault_update update = { chunk, &blob, 1 };
    return vault_store_all(config, &update, 1);
}

enum storage_error vault_load(const struct device_config *config, enum chunk chunk, uint8_t *to, size_t capacity,
                              size_t *length)
{
    struct credentials out;
    struct vault vault = open_vault(config, &out);
    struct blob content = { 0 }, value = { 0 };
    busy = true;
    enum storage_error error = present(&vault);
    if (!error) {
        error = start(&vault);
    }
    if (error) {
        (void)print_error(error);
    } else if (on_chip(config->scheme, chunk)) {
        content.data = counters_content(chunk, &content.length);
        error = content.data == NULL ? STORAGE_FILE_MISSING : STORAGE_OK;
    } else {
        error = config->scheme->fetch(&vault, chunk, &content.data, &content.length);
    }
    if (!error && (!content_next(&content, &value) || value.length > capacity)) {
        error = STORAGE_MEMORY;
    }
    if (!error) {
        memcpy(to, value.data, value.length);
    }
    *length = error ? 0 : value.length;
    credentials_wipe(config, &out);
    busy = false;
    return error;
}

enum storage_error vault_reset(const struct device_config *config)
{
    struct credentials out;
    struct vault vault = open_vault(config, &out);
    bool keep = config->secret_injected || (config->scheme->format && config->scheme->format->shared);
    busy = true;
    bool done = counters_open() || counters_create(NULL);
    /* the secret goes first: whatever the medium does, its records do not open any more */
    if (done && !counters_resetting()) {
        done = counters_reset_begin(keep);
    }
    enum storage_error error = done ? present(&vault) : STORAGE_FLASH;
    if (!error) {
        error = finish_reset(&vault);
    }
    (void)print_error(error);
    credentials_wipe(config, &out);
    busy = false;
    return error;
}
