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

/* What an entry says; SPEC section 8. */
enum { SEALS = 0, COMMIT = 0x1000, CONTENT = 0x2000, RESET_BEGIN = 0x3000, RESET_END = 0x3001, OPERAND = 0x0FFF };

struct entry {
    uint32_t what;  /* SEALS, COMMIT | chunks, CONTENT | chunk, RESET_... */
    uint32_t value; /* of CONTENT: its length; it follows the entry */
    uint32_t seals; /* number of seals so far; of CONTENT: CRC-32 of the content */
    uint32_t check; /* CRC-32 of the three before */
};

enum { HEAD_CHECKED = sizeof(struct head) - 4, ENTRY = sizeof(struct entry), ENTRY_CHECKED = ENTRY - 4 };
_Static_assert(sizeof(struct head) == 80 && ENTRY == 16, "SPEC section 8");

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
    uint32_t contents[VERSIONS]; /* offset of the entry whose content counts; 0: none */
    uint32_t staged[VERSIONS];   /* of the one the next commit makes count */
    bool holds_contents;         /* or ever did */
    uint32_t reset;              /* RESET_BEGIN, RESET_END: nothing was stored since; 0: there was none */
} state;

static const struct head *head_of(const struct sector *sector)
{
    return (const struct head *)sector->start;
}

static const struct entry *entry_at(uint32_t offset)
{
    return (const struct entry *)(state.sector->start + offset);
}

static bool head_good(const struct sector *sector)
{
    const struct head *head = head_of(sector);
    return head->magic == MAGIC && head->check == crc32(head, HEAD_CHECKED);
}

static bool all(const void *from, size_t length, uint8_t value)
{
    const uint8_t *bytes = from;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

/* Of a content of `length` bytes behind its entry. */
static uint32_t padded(uint32_t length)
{
    return (length + ENTRY - 1) / ENTRY * ENTRY;
}

static void take_commit(uint32_t chunks)
{
    for (unsigned i = 0; i < VERSIONS; i++) {
        if (chunks & 2u << i) {
            state.versions[i]++;
            state.contents[i] = state.staged[i];
            state.staged[i] = 0;
        }
    }
}

/* Takes in a good entry; returns how many bytes of content follow it. */
static uint32_t take_entry(const struct entry *entry, uint32_t at)
{
    uint32_t operand = entry->what & OPERAND, room = state.sector->size - at - ENTRY;
    switch (entry->what & ~(uint32_t)OPERAND) {
    case CONTENT:
        state.holds_contents = true;
        if (entry->value > room || operand < 1 || operand > VERSIONS) {
            return 0;
        }
        if (crc32(entry + 1, entry->value) == entry->seals) {
            state.staged[operand - 1] = at;
        }
        return padded(entry->value);
    case COMMIT:
        take_commit(operand);
        state.reset = 0;
        break;
    case RESET_BEGIN:
        state.reset = entry->what;
        break;
    default:
        break;
    }
    state.seals = entry->seals;
    return 0;
}

/* Takes in the log from an offset on; what stands before has been. */
static void replay_from(uint32_t at)
{
    for (; at + ENTRY <= state.sector->size; at += ENTRY) {
        const struct entry *entry = entry_at(at);
        if (all(entry, ENTRY, BLANK)) {
            continue;
        }
        if (entry->check == crc32(entry, ENTRY_CHECKED)) {
            at += take_entry(entry, at);
        }
        state.free = at + ENTRY; /* also behind one that a cut left unusable */
    }
}

static void replay(const struct sector *sector)
{
    const struct head *head = head_of(sector);
    memset(&state, 0, sizeof state);
    state.sector = sector;
    state.seals = head->seals;
    memcpy(state.versions, head->versions, sizeof state.versions);
    state.free = sizeof(struct head);
    replay_from(state.free);
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

bool counters_exist(void)
{
    return state.sector != NULL;
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
    if (all((const void *)sector->start, sector->size, BLANK)) {
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

static const struct sector *other_sector(void)
{
    return state.sector == &SECTORS[0] ? &SECTORS[1] : &SECTORS[0];
}

/* Content and its padding, word by word: neither need be aligned. */
static bool write_content(uintptr_t address, const uint8_t *content, size_t length)
{
    uint32_t words[16];
    bool done = true;
    for (size_t at = 0; at < length && done; at += sizeof words) {
        size_t n = length - at < sizeof words ? length - at : sizeof words;
        memset(words, BLANK, sizeof words);
        memcpy(words, content + at, n);
        done = write_words(address + at, words, (n + 3) & ~(size_t)3);
    }
    wipe(words, sizeof words);
    return done;
}

static struct entry make_entry(uint32_t what, uint32_t value, uint32_t seals)
{
    struct entry entry = { what, value, seals, 0 };
    entry.check = crc32(&entry, ENTRY_CHECKED);
    return entry;
}

/* A new sector, but for its magic: head, contents that count, or the mark of a `reset` (0: of none). */
static bool write_sector(const struct sector *sector, struct head *head, uint32_t reset)
{
    uintptr_t at = sector->start + sizeof *head;
    uint32_t moved = 0;
    for (unsigned i = 0; i < VERSIONS; i++) {
        if (state.contents[i] && !reset) {
            moved |= 2u << i;
            head->versions[i]--; /* the commit below brings it back, with the content */
        }
    }
    head->check = crc32(head, HEAD_CHECKED);
    bool done = erase(sector) && write_words(sector->start + 4, (const uint8_t *)head + 4, sizeof *head - 4);
    for (unsigned i = 0; i < VERSIONS && done; i++) {
        if (moved & 2u << i) {
            const struct entry *from = entry_at(state.contents[i]);
            done = write_words(at, from, ENTRY) && write_content(at + ENTRY, (const uint8_t *)(from + 1), from->value);
            at += ENTRY + padded(from->value);
        }
    }
    struct entry last = make_entry(reset ? reset : COMMIT | moved, 0, head->seals);
    return done && ((!moved && !reset) || write_words(at, &last, sizeof last));
}

/* The magic comes last: until then the other sector, or none, is the state. */
static bool begin_sector(const struct sector *sector, struct head *head, uint32_t reset)
{
    head->magic = MAGIC;
    return write_sector(sector, head, reset) && write_words(sector->start, &head->magic, 4);
}

static bool erase_other(void)
{
    return erase(other_sector());
}

/* The other sector is the state from now on, with the next generation of this head, which is wiped. The caller then
 * erases the one before: nothing secret must outlive a later erase. */
static bool move_on(struct head *head, uint32_t reset)
{
    const struct sector *next = other_sector();
    head->generation = head_of(state.sector)->generation + 1;
    bool done = begin_sector(next, head, reset);
    wipe(head, sizeof *head);
    if (done) {
        replay(next);
    }
    return done;
}

bool counters_create(const uint8_t *secret)
{
    struct head head = { .generation = 1 };
    if (secret != NULL) {
        memcpy(head.secret, secret, sizeof head.secret);
    }
    if (counters_open()) {
        return move_on(&head, state.reset) && erase_other();
    }
    memset(&state, 0, sizeof state);
    bool done = begin_sector(&SECTORS[0], &head, 0);
    wipe(&head, sizeof head);
    return done && counters_open();
}

/* The present state goes on in the other sector. */
static bool turn(void)
{
    struct head head = { .seals = state.seals };
    memcpy(head.secret, head_of(state.sector)->secret, sizeof head.secret);
    memcpy(head.versions, state.versions, sizeof head.versions);
    bool done = move_on(&head, state.reset);
    if (done) {
        (void)erase_other(); /* if that fails the newer generation still wins */
    }
    return done;
}

static bool append(uint32_t what, uint32_t value, uint32_t seals)
{
    if (state.free + ENTRY > state.sector->size) {
        return false;
    }
    struct entry entry = make_entry(what, value, seals);
    bool done = write_words(state.sector->start + state.free, &entry, sizeof entry);
    replay_from(state.free);
    return done;
}

/* Zeros over words of flash, 16 at a time. */
static bool write_zeros(uintptr_t address, size_t length)
{
    static const uint32_t zeros[16];
    bool done = true;
    for (size_t at = 0; at < length && done; at += sizeof zeros) {
        done = write_words(address + at, zeros, length - at < sizeof zeros ? length - at : sizeof zeros);
    }
    return done;
}

static bool counts(uint32_t at)
{
    for (unsigned i = 0; i < VERSIONS; i++) {
        if (state.contents[i] == at) {
            return true;
        }
    }
    return false;
}

/* Contents that were replaced, or never came to count: keys among them. */
static bool forget_contents(void)
{
    bool done = true;
    for (uint32_t at = sizeof(struct head); at + ENTRY <= state.free && done; at += ENTRY) {
        const struct entry *entry = entry_at(at);
        if (entry->check != crc32(entry, ENTRY_CHECKED) || (entry->what & ~(uint32_t)OPERAND) != CONTENT ||
            entry->value > state.sector->size - at - ENTRY) {
            continue;
        }
        uint32_t length = padded(entry->value);
        if (!counts(at) && !all(entry + 1, length, 0)) {
            done = write_zeros((uintptr_t)(entry + 1), length);
        }
        at += length;
    }
    return done;
}

bool counters_tidy(void)
{
    bool done = true;
    if (state.holds_contents) {
        done = forget_contents();
        replay(state.sector);
    }
    return erase_other() && done;
}

bool counters_clean(void)
{
    return erase(&SECTORS[0]) && erase(&SECTORS[1]);
}

const uint8_t *counters_secret(void)
{
    const uint8_t *secret = head_of(state.sector)->secret;
    return all(secret, DEVICE_SECRET_SIZE, 0) ? NULL : secret;
}

uint32_t counters_version(enum chunk chunk)
{
    return state.versions[chunk - 1];
}

const uint8_t *counters_content(enum chunk chunk, size_t *length)
{
    uint32_t at = state.sector == NULL ? 0 : state.contents[chunk - 1];
    *length = at ? entry_at(at)->value : 0;
    return at ? (const uint8_t *)(entry_at(at) + 1) : NULL;
}

size_t counters_need(size_t bytes, size_t count)
{
    return bytes + (2 * count + 2) * ENTRY; /* each content with its entry and padding; seals and commit */
}

bool counters_reserve(size_t bytes)
{
    return state.free + bytes <= state.sector->size || (turn() && state.free + bytes <= state.sector->size);
}

bool counters_take_seals(uint32_t count, uint32_t *first)
{
    uint32_t last = state.seals + count;
    if (last < count || !append(SEALS, 0, last) || state.seals != last) {
        return false;
    }
    *first = last - count + 1;
    return true;
}

bool counters_keep(enum chunk chunk, const uint8_t *content, size_t length)
{
    uint32_t at = state.free;
    if (at + ENTRY + padded((uint32_t)length) > state.sector->size) {
        return false;
    }
    /* the content's check takes the place of the number of seals */
    if (!append(CONTENT | chunk, (uint32_t)length, crc32(content, length)) ||
        !write_content(state.sector->start + at + ENTRY, content, length)) {
        return false;
    }
    replay_from(at);
    return state.staged[chunk - 1] == at;
}

bool counters_commit(uint32_t chunks)
{
    uint32_t before[VERSIONS];
    memcpy(before, state.versions, sizeof before);
    if (!append(COMMIT | chunks, 0, state.seals)) {
        return false;
    }
    for (unsigned i = 0; i < VERSIONS; i++) {
        if (state.versions[i] != before[i] + !!(chunks & 2u << i)) {
            return false;
        }
    }
    return true;
}

bool counters_reset_begin(bool keep_secret)
{
    struct head head = { 0 };
    if (keep_secret) {
        memcpy(head.secret, head_of(state.sector)->secret, sizeof head.secret);
        head.seals = state.seals;
        memcpy(head.versions, state.versions, sizeof head.versions);
    }
    return move_on(&head, RESET_BEGIN) && erase_other();
}

bool counters_resetting(void)
{
    return state.reset == RESET_BEGIN;
}

bool counters_reset_end(void)
{
    return append(RESET_END, 0, state.seals) && counters_given_up();
}

bool counters_given_up(void)
{
    return state.reset == RESET_END;
}

void counters_burn(void)
{
    for (unsigned i = 0; i < 2; i++) {
        flash_burn((uint32_t)(uintptr_t)head_of(&SECTORS[i])->secret, DEVICE_SECRET_SIZE / 4);
    }
    for (unsigned i = 0; i < 2; i++) {
        flash_burn((uint32_t)SECTORS[i].start, SECTORS[i].size / 4);
    }
}
