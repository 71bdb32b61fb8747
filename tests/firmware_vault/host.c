/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's vault on the host, over flash sectors and a medium that are files, with a supply that can be cut.
 *   host FLASH MEDIUM SEED CUT TORN OPERATION [CHUNK=FILE...] [?NEEDLE...]
 * FLASH is the 48 KB of sectors 1..3; MEDIUM an EEPROM's 32 KB or a card's blocks, whichever the configuration page names.
 * OPERATION: load (as a boot does; prints the console and what was loaded), store (new contents of chunks), reset, tamper.
 * Event number CUT (1 ..; 0: none) is the last one: a flash word, a sector erase, an EEPROM page or a card's block; it
 * happens not at all (TORN 0), by half (1) or, for page and block, leaves it erased (2). Both files hold what is left; exit
 * code 9 tells that the supply was cut, 8 that the device was reset.
 *
 * CUT `sweep`: every cut of the operation in turn, each followed by a boot, files left alone (behind a `store` by another,
 * `again=` if that fails); CUT `sweep2`: a second cut in
 * that boot as well. A line for each:
 *   cut=N loaded=old|new|none|<hash> result=<word> line="<last storage line>" found=<needles found afterwards, of 0 1 ...>
 * NEEDLE: hexadecimal bytes that are looked for in flash and medium after the boot. `nonce=` lines: every record seen. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "board/chip_map.h"
#include "board/clock.h"
#include "board/format.h"
#include "board/reset.h"
#include "drivers/console.h"
#include "drivers/eeprom.h"
#include "drivers/flash.h"
#include "drivers/hall.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"
#include "storage/crc32.h"
#include "vault/tamper.h"
#include "vault/vault.h"

enum { CUT_EXIT = 9, RESET_EXIT = 8, TEXT = 400, NEEDLES = 16, BLOCKS_SEEN = 4096 };

static uint8_t *medium;
static size_t medium_size;
static const char *flash_file, *medium_file;
static unsigned long events, cut, counts[4];
static int torn;
static uint64_t random_state;
static bool quiet, keep_files;
/* shared with the parent of a sweep */
static struct shared {
    char line[TEXT];
    char result[32];
    uint32_t loaded;
    unsigned long events;
} *shared;

static uint8_t *flash(void) { return (uint8_t *)(uintptr_t)DATA_START; }

static void transfer(const char *path, void *memory, size_t size, bool writing)
{
    FILE *file = fopen(path, writing ? "r+b" : "rb");
    size_t done = !file ? 0 : writing ? fwrite(memory, 1, size, file) : fread(memory, 1, size, file);
    if (done != size || fclose(file))
        abort();
}

static _Noreturn void leave(int code)
{
    if (keep_files) {
        transfer(flash_file, flash(), DATA_SIZE, true);
        transfer(medium_file, medium, medium_size, true);
    }
    shared->events = events;
    if (!quiet)
        printf("events=%lu words=%lu erases=%lu pages=%lu blocks=%lu\n", events, counts[0], counts[1], counts[2],
               counts[3]);
    fflush(stdout);
    _exit(code);
}

static bool last(unsigned kind)
{
    counts[kind]++;
    return ++events == cut;
}

enum flash_result flash_unlock(void) { return FLASH_OK; }
void flash_lock(void) { }
bool flash_busy(void) { return false; }
enum flash_result flash_erase_sector(unsigned sector)
{
    uint8_t *start = flash() + (sector - DATA_SECTOR_FIRST) * VAULT_A_SIZE;
    bool ends = last(1);
    if (!ends || torn == 1)
        memset(start, 0xFF, ends ? VAULT_A_SIZE / 2 : VAULT_A_SIZE);
    else if (torn == 2)
        memset(start + VAULT_A_SIZE / 2, 0xFF, VAULT_A_SIZE / 2);
    if (ends)
        leave(CUT_EXIT);
    return FLASH_OK;
}
static bool program(uint32_t *at, uint32_t word)
{
    bool ends = last(0);
    if (!ends || torn)
        *at &= ends ? word | (torn == 1 ? 0xFFFF0000u : 0x0000FFFFu) : word;
    if (ends)
        leave(CUT_EXIT);
    return *at == word;
}
enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!program((uint32_t *)(uintptr_t)(address + 4 * i), words[i]))
            return FLASH_ERROR_VERIFY;
    return FLASH_OK;
}
void flash_burn_word(uint32_t address) { program((uint32_t *)(uintptr_t)address, 0); }
void flash_burn(uint32_t address, size_t count)
{
    for (uint32_t *at = (uint32_t *)(uintptr_t)address; count; count--, at++)
        if (*at != 0xFFFFFFFFu && *at)
            program(at, 0);
}

/* A page or a block: not at all, its first half, or erased. */
static void write_unit(uint8_t *at, const uint8_t *from, size_t length, unsigned kind)
{
    bool ends = last(kind);
    if (ends && torn == 2)
        memset(at, 0xFF, length);
    else if (!ends || torn)
        memcpy(at, from, ends ? length / 2 : length);
    if (ends)
        leave(CUT_EXIT);
}
enum storage_error eeprom_init(void) { return STORAGE_OK; }
enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length)
{
    memcpy(to, medium + offset, length);
    return STORAGE_OK;
}
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length)
{
    while (length) {
        uint32_t rest = EEPROM_PAGE_SIZE - offset % EEPROM_PAGE_SIZE, n = length < rest ? length : rest;
        write_unit(medium + offset, from, n, 2);
        offset += n;
        from += n;
        length -= n;
    }
    return STORAGE_OK;
}
enum storage_error sd_init(struct sd_card *card)
{
    card->blocks = (uint32_t)(medium_size / SD_BLOCK_SIZE);
    card->high_capacity = false;
    return STORAGE_OK;
}
enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE])
{
    memcpy(to, medium + (size_t)lba * SD_BLOCK_SIZE, SD_BLOCK_SIZE);
    return STORAGE_OK;
}
enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    write_unit(medium + (size_t)lba * SD_BLOCK_SIZE, from, SD_BLOCK_SIZE, 3);
    return STORAGE_OK;
}
enum rng_result rng_fill(void *to, size_t length)
{
    uint8_t *bytes = to;
    memset(to, 0, length);
    if (random_state == 0)
        return RNG_ERROR_SEED;
    for (size_t i = 0; i < length; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(random_state >> 56);
    }
    return RNG_OK;
}
int mbedtls_hardware_poll(void *context, unsigned char *output, size_t length, size_t *filled)
{
    (void)context, (void)output, (void)length;
    *filled = 0;
    return -1;
}
long mbedtls_ms_time(void) { return 0; }
void watchdog_kick(void) { }
uint32_t time_ms(void) { return 0; }
bool hall_closed(void) { return false; }
void hall_set_alarm(void (*act)(void)) { (void)act; }
void rtc_backup_set(unsigned index, uint32_t value) { (void)index, (void)value; }
_Noreturn void reset_without_memory(void) { leave(RESET_EXIT); }
void console_line(const char *tag, const char *format, ...)
{
    char text[TEXT];
    va_list arguments;
    va_start(arguments, format);
    format_text(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!quiet)
        printf("%s: %s\n", tag, text);
    if (strcmp(tag, "storage") == 0)
        snprintf(shared->line, sizeof shared->line, "%s", text);
}

static void print_blob(const char *name, const struct blob *blob)
{
    if (!quiet) {
        printf("%s=", name);
        for (size_t i = 0; i < blob->length; i++)
            printf("%02x", blob->data[i]);
        printf("\n");
    }
    shared->loaded = crc32_more(shared->loaded, blob->data, blob->length);
}

static void load(const struct device_config *config)
{
    struct credentials found;
    shared->loaded = 0;
    enum storage_error error = credentials_load(config, &found);
    snprintf(shared->result, sizeof shared->result, "%s", storage_error_word(error));
    if (!quiet)
        printf("result=%s lost=%d\n", shared->result, vault_lost(error));
    if (!error) {
        for (size_t i = 0; i < found.anchor_count; i++)
            print_blob("anchor", &found.anchors[i]);
        print_blob("certificate", &found.certificate);
        print_blob("key", &found.key);
    }
    const uint8_t *key = found.key.data;
    size_t length = found.key.length;
    bool in_flash = key >= flash() && key < flash() + DATA_SIZE;
    credentials_wipe(config, &found);
    for (size_t i = 0; !in_flash && i < length; i++)
        if (key[i])
            abort();
}

static void store(const struct device_config *config, int count, char **arguments)
{
    static uint8_t bytes[8][4096];
    static struct blob values[8];
    static struct vault_update updates[8];
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        char *file = strchr(arguments[i], '=');
        struct stat about;
        if (file == NULL || n == 8 || stat(file + 1, &about) || (size_t)about.st_size > sizeof bytes[n])
            abort();
        transfer(file + 1, bytes[n], (size_t)about.st_size, false);
        values[n] = (struct blob){ bytes[n], (size_t)about.st_size };
        updates[n] = (struct vault_update){ (enum chunk)atoi(arguments[i]), &values[n], 1 };
        n++;
    }
    enum storage_error error = vault_store_all(config, updates, n);
    snprintf(shared->result, sizeof shared->result, "%s", storage_error_word(error));
    if (!quiet)
        printf("result=%s\n", shared->result);
}

/* One life of the device. */
static _Noreturn void live(const char *operation, int count, char **arguments)
{
    static struct device_config config;
    uint16_t field;
    shared->line[0] = shared->result[0] = 0;
    bool tampered = tamper_happened();
    if (tampered)
        tamper_finish_chip();
    if (config_load(&config, &field) != CONFIG_OK) {
        if (!tampered)
            abort();
        snprintf(shared->result, sizeof shared->result, "config");
        leave(0);
    }
    if (tampered) {
        tamper_finish_medium(&config);
        snprintf(shared->result, sizeof shared->result, "tampered");
        shared->loaded = 0;
        leave(0);
    }
    if (strcmp(operation, "load") == 0) {
        load(&config);
    } else if (strcmp(operation, "store") == 0) {
        store(&config, count, arguments);
    } else if (strcmp(operation, "reset") == 0) {
        enum storage_error error = vault_reset(&config);
        if (!quiet)
            printf("result=%s\n", storage_error_word(error));
    } else if (strcmp(operation, "tamper") == 0) {
        tamper_arm();
    } else {
        abort();
    }
    leave(0);
}

/* the sweep --------------------------------------------------------------------------------------------------------- */

static uint8_t *flash_before, *medium_before;

static void restore(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        if (memcmp(to + at, from + at, 4096) != 0)
            memcpy(to + at, from + at, 4096);
}

static int life(const char *operation, int count, char **arguments, unsigned long at, int how)
{
    int status;
    fflush(stdout);
    random_state = random_state * 6364136223846793005u + 12345; /* another life, other random numbers */
    pid_t child = fork();
    if (child == 0) {
        cut = at;
        torn = how;
        live(operation, count, arguments);
    }
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != CUT_EXIT &&
                               WEXITSTATUS(status) != RESET_EXIT)) {
        printf("crash cut=%lu torn=%d status=%d\n", at, how, status);
        exit(1);
    }
    return WEXITSTATUS(status);
}

/* Every whole record that ever stood there: its secret, chunk and nonce, and what they were used for. */
static void print_nonces(void)
{
    for (size_t at = 0; at + 64 < medium_size; at += SD_BLOCK_SIZE) {
        uint8_t *record = medium + at;
        uint32_t length;
        memcpy(&length, record + 8, 4);
        if (memcmp(record, "OCV1", 4) != 0 || length > 4096 || at + length + 48 > medium_size)
            continue;
        static uint32_t seen[BLOCKS_SEEN];
        static size_t count;
        uint32_t secret = crc32(flash() + CONFIGURATION_SIZE + 8, 32), sealed = crc32(record + 32, length + 16);
        if (crc32(flash() + 2 * CONFIGURATION_SIZE, 4) == crc32("OCS1", 4))
            secret = crc32(flash() + 2 * CONFIGURATION_SIZE + 8, 32);
        uint32_t id = crc32(record, length + 48) ^ secret;
        size_t i = 0;
        while (i < count && seen[i] != id)
            i++;
        if (i < count || count == BLOCKS_SEEN)
            continue;
        seen[count++] = id;
        bool whole = record[length + 47] != 0xFF; /* not the half of a cut, written or blanked */
        for (size_t n = 0; n + 1 < length + 16; n++)
            whole &= record[32 + n] != 0xFF || record[33 + n] != 0xFF;
        if (!whole)
            continue;
        printf("nonce=%08x-%u-", (unsigned)secret, record[6]);
        for (unsigned n = 16; n < 28; n++)
            printf("%02x", record[n]);
        printf(" sealed=%08x\n", (unsigned)sealed);
    }
}

static struct {
    uint8_t bytes[128];
    size_t length;
} needles[NEEDLES];
static int needle_count;

static void take_needle(const char *hex)
{
    for (size_t i = 0; hex[2 * i]; i++) {
        unsigned byte;
        if (needle_count == NEEDLES || i == sizeof needles[0].bytes || sscanf(hex + 2 * i, "%2x", &byte) != 1)
            abort();
        needles[needle_count].bytes[i] = (uint8_t)byte;
        needles[needle_count].length = i + 1;
    }
    needle_count++;
}

static void print_found(void)
{
    for (int i = 0; i < needle_count; i++)
        if (memmem(flash(), DATA_SIZE, needles[i].bytes, needles[i].length) ||
            memmem(medium, medium_size, needles[i].bytes, needles[i].length))
            printf("%d ", i);
}

static void print_life(const char *name, unsigned long first, unsigned long second, uint32_t old, uint32_t new)
{
    uint32_t loaded = shared->loaded;
    char hash[16];
    snprintf(hash, sizeof hash, "%08x", (unsigned)loaded);
    printf("%s=%lu,%lu torn=%d loaded=%s result=%s line=\"%s\" found=", name, first, second, torn,
           !loaded         ? "none"
           : loaded == old ? "old"
           : loaded == new ? "new"
                           : hash,
           shared->result, shared->line);
    print_found();
    printf("\n");
}

static void sweep(const char *operation, int count, char **arguments, bool twice)
{
    int how = torn;
    flash_before = malloc(DATA_SIZE);
    medium_before = malloc(medium_size);
    memcpy(flash_before, flash(), DATA_SIZE);
    memcpy(medium_before, medium, medium_size);
    quiet = true;
    life("load", 0, NULL, 0, 0);
    uint32_t old = shared->loaded;
    restore(flash(), flash_before, DATA_SIZE);
    restore(medium, medium_before, medium_size);
    life(operation, count, arguments, 0, 0);
    life("load", 0, NULL, 0, 0);
    uint32_t new = shared->loaded;
    print_life("uncut", 0, 0, old, new);
    for (unsigned long at = 1;; at++) {
        restore(flash(), flash_before, DATA_SIZE);
        restore(medium, medium_before, medium_size);
        if (life(operation, count, arguments, at, how) != CUT_EXIT)
            break;
        print_nonces();
        static uint8_t *flash_cut, *medium_cut;
        if (twice && !flash_cut) {
            flash_cut = malloc(DATA_SIZE);
            medium_cut = malloc(medium_size);
        }
        if (twice) {
            memcpy(flash_cut, flash(), DATA_SIZE);
            memcpy(medium_cut, medium, medium_size);
        }
        for (unsigned long second = twice; ; second++) {
            if (second && life("load", 0, NULL, second, how) != CUT_EXIT)
                break;
            life("load", 0, NULL, 0, 0);
            print_nonces();
            print_life("cut", at, second, old, new);
            if (!twice && strcmp(operation, "store") == 0) { /* whatever a cut left, something new can be kept */
                life("store", count, arguments, 0, 0);
                if (strcmp(shared->result, "ok") != 0)
                    printf("again=%lu result=%s\n", at, shared->result);
            }
            if (!twice)
                break;
            restore(flash(), flash_cut, DATA_SIZE);
            restore(medium, medium_cut, medium_size);
        }
    }
    free(flash_before);
    free(medium_before);
}

static void map(uintptr_t start, size_t size)
{
    void *at = mmap((void *)start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != (void *)start)
        abort();
}

int main(int argc, char **argv)
{
    struct stat about;
    if (argc < 7 || stat(argv[2], &about))
        abort();
    flash_file = argv[1];
    medium_file = argv[2];
    random_state = strtoull(argv[3], NULL, 0);
    torn = atoi(argv[5]);
    medium_size = (size_t)about.st_size;
    map(DATA_START, DATA_SIZE);
    map(UID_START & ~4095u, 4096);
    medium = mmap(NULL, medium_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    transfer(flash_file, flash(), DATA_SIZE, false);
    transfer(medium_file, medium, medium_size, false);
    int count = 0;
    for (; 7 + count < argc && argv[7 + count][0] != '?'; count++)
        ;
    for (int i = 7 + count; i < argc; i++)
        take_needle(argv[i] + 1);
    if (strncmp(argv[4], "sweep", 5) == 0) {
        sweep(argv[6], count, argv + 7, argv[4][5] == '2');
        return 0;
    }
    cut = strtoul(argv[4], NULL, 0);
    keep_files = true;
    live(argv[6], count, argv + 7);
}
