/* SPDX-License-Identifier: Apache-2.0 */
/* A sector holds a head (the state when the sector was begun) and a log of entries behind it. The head's magic is written
 * last, an entry's check word is its last word: what a cut leaves half-written is not valid, and is passed over. */
#include "vault/counters.h"
#include <string.h>
#include "board/chip_map.h"
#include "drivers/flash.h"
#include "drivers/watchdog.h"
#include "storage/crc32.h"
#include "storage/wipe.h"

#define MAGIC 0x3153434Fu /* "OCS1" */
enum { VERSIONS = 8, BLANK = 0xFF };

struct head {
    uint32_t magic;
    uint32_t generation;
    uint8_t secret[DEVICE_SECRET_SIZE];
    uint32_t seals;
    uint32_t versions[VERSIONS]; /* [chunk - 1] */
    uint32_t check;              /* CRC-32 of everything before */
};

struct entry {
    uint32_t chunk; /* CHUNK_ALL: only the number of seals is new */
    uint32_t version;
    uint32_t seals;
    uint32_t check; /* CRC-32 of the three before */
};

enum { HEAD_CHECKED = sizeof(struct head) - 4, ENTRY_CHECKED = sizeof(struct entry) - 4 };
_Static_assert(sizeof(struct head) == 80 && sizeof(struct entry) == 16, "SPEC section 8");

struct sector {
    unsigned number;
    uintptr_t start;
    uint32_t size;
};

static const struct sector SECTORS[2] = {
    { VAULT_A_SECTOR, VAULT_A_START, VAULT_A_SIZE },
    { VAULT_B_SECTOR, VAULT_B_START, VAULT_B_SIZE },
};

static struct {
    const struct sector *sector;
    uint32_t free; /* offset of the next entry */
    uint32_t seals;
    uint32_t versions[VERSIONS];
} state;

static const struct head *head_of(const struct sector *sector)
{
    return (const struct head *)sector->start;
}

static bool head_good(const struct sector *sector)
{
    const struct head *head = head_of(sector);
    return head->magic == MAGIC && head->check == crc32(head, HEAD_CHECKED);
}

static bool blank(const void *from, size_t length)
{
    const uint8_t *bytes = from;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != BLANK) {
            return false;
        }
    }
    return true;
}

static void replay(const struct sector *sector)
{
    const struct head *head = head_of(sector);
    state.sector = sector;
    state.seals = head->seals;
    memcpy(state.versions, head->versions, sizeof state.versions);
    state.free = sizeof(struct head);
    for (uint32_t at = sizeof(struct head); at + sizeof(struct entry) <= sector->size; at += sizeof(struct entry)) {
        const struct entry *entry = (const struct entry *)(sector->start + at);
        if (blank(entry, sizeof *entry)) {
            continue;
        }
        state.free = at + sizeof(struct entry); /* also behind one that a cut left unusable */
        if (entry->check != crc32(entry, ENTRY_CHECKED) || entry->chunk > VERSIONS) {
            continue;
        }
        state.seals = entry->seals;
        if (entry->chunk != CHUNK_ALL) {
            state.versions[entry->chunk - 1] = entry->version;
        }
    }
}

bool counters_open(void)
{
    bool a = head_good(&SECTORS[0]), b = head_good(&SECTORS[1]);
    if (!a && !b) {
        return false;
    }
    bool second = b && (!a || head_of(&SECTORS[1])->generation > head_of(&SECTORS[0])->generation);
    replay(&SECTORS[second]);
    return true;
}

static bool write_words(uintptr_t address, const void *from, size_t length)
{
    if (flash_unlock() != FLASH_OK) {
        return false;
    }
    enum flash_result result = flash_program_words((uint32_t)address, from, length / 4);
    flash_lock();
    return result == FLASH_OK;
}

static bool erase(const struct sector *sector)
{
    if (blank((const void *)sector->start, sector->size)) {
        return true;
    }
    if (flash_unlock() != FLASH_OK) {
        return false;
    }
    watchdog_kick(); /* the core stands while it lasts */
    enum flash_result result = flash_erase_sector(sector->number);
    watchdog_kick();
    flash_lock();
    return result == FLASH_OK;
}

/* The magic comes last: until then the other sector, or none, is the state. */
static bool write_head(const struct sector *sector, const struct head *head)
{
    return erase(sector) && write_words(sector->start + 4, (const uint8_t *)head + 4, sizeof *head - 4) &&
           write_words(sector->start, &head->magic, 4);
}

bool counters_create(const uint8_t secret[DEVICE_SECRET_SIZE])
{
    struct head head = { .magic = MAGIC, .generation = 1 };
    memcpy(head.secret, secret, sizeof head.secret);
    head.check = crc32(&head, HEAD_CHECKED);
    bool done = write_head(&SECTORS[0], &head);
    wipe(&head, sizeof head);
    return done && counters_open();
}

/* Begins the other sector with the present state, then erases this one: the secret must not outlive a later erase. */
static bool turn(void)
{
    const struct sector *old = state.sector, *next = old == &SECTORS[0] ? &SECTORS[1] : &SECTORS[0];
    struct head head = { .magic = MAGIC, .generation = head_of(old)->generation + 1, .seals = state.seals };
    memcpy(head.secret, head_of(old)->secret, sizeof head.secret);
    memcpy(head.versions, state.versions, sizeof head.versions);
    head.check = crc32(&head, HEAD_CHECKED);
    bool done = write_head(next, &head);
    wipe(&head, sizeof head);
    if (done) {
        replay(next);
        (void)counters_tidy(); /* if that fails the newer generation still wins */
    }
    return done;
}

static bool append(uint32_t chunk, uint32_t version, uint32_t seals)
{
    if (state.free + sizeof(struct entry) > state.sector->size && !turn()) {
        return false;
    }
    struct entry entry = { chunk, version, seals, 0 };
    entry.check = crc32(&entry, ENTRY_CHECKED);
    bool done = write_words(state.sector->start + state.free, &entry, sizeof entry);
    replay(state.sector);
    return done;
}

bool counters_tidy(void)
{
    return erase(state.sector == &SECTORS[0] ? &SECTORS[1] : &SECTORS[0]);
}

const uint8_t *counters_secret(void)
{
    return head_of(state.sector)->secret;
}

uint32_t counters_version(enum chunk chunk)
{
    return state.versions[chunk - 1];
}

bool counters_next_seal(uint32_t *seal)
{
    uint32_t next = state.seals + 1;
    if (next == 0 || !append(CHUNK_ALL, 0, next) || state.seals != next) {
        return false;
    }
    *seal = next;
    return true;
}

bool counters_commit(enum chunk chunk, uint32_t version)
{
    return append(chunk, version, state.seals) && state.versions[chunk - 1] == version;
}
