/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/medium_sd.h"
#include <string.h>
#include "drivers/console.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"
#include "storage/fat.h"
#include "storage/wipe.h"

static struct fat_volume volume;

/* The file found last: looking it up again costs four blocks. Nothing moves while the card is the same. */
static struct {
    char name[13];
    struct fat_file file;
} found;

static enum storage_error read_block(void *medium, uint32_t lba, uint8_t to[SD_BLOCK_SIZE])
{
    (void)medium;
    watchdog_kick(); /* each block is bounded; a slow card times many is not far from the watchdog's time */
    return sd_read_block(lba, to);
}

static enum storage_error write_block(void *medium, uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    (void)medium;
    watchdog_kick();
    return sd_write_block(lba, from);
}

static enum storage_error present(void)
{
    struct sd_card card;
    found.name[0] = '\0';
    enum storage_error error = sd_init(&card);
    if (error) {
        return error;
    }
    console_line("storage", "sd type=%s blocks=%lu", card.high_capacity ? "SDHC" : "SDSC", (unsigned long)card.blocks);
    return fat_mount(&volume, read_block, write_block, NULL, card.blocks);
}

static enum storage_error open(const char *name, struct fat_file *file)
{
    char path[sizeof "/CREDS/" + 12] = "/CREDS/";
    enum storage_error error = STORAGE_OK;
    if (strncmp(found.name, name, sizeof found.name) != 0) {
        found.name[0] = '\0';
        strncat(path, name, 12);
        error = fat_open(&volume, path, &found.file);
        if (!error) {
            strncat(found.name, name, sizeof found.name - 1);
        }
    }
    *file = found.file;
    return error;
}

static enum storage_error size(const char *name, uint32_t *bytes)
{
    struct fat_file file;
    enum storage_error error = open(name, &file);
    *bytes = error ? 0 : file.size;
    return error;
}

static enum storage_error read(const char *name, uint32_t offset, uint8_t *to, uint32_t length)
{
    struct fat_file file;
    enum storage_error error = open(name, &file);
    return error ? error : fat_read(&volume, &file, offset, to, length);
}

static enum storage_error write(const char *name, uint32_t offset, const uint8_t *from, uint32_t length)
{
    struct fat_file file;
    enum storage_error error = open(name, &file);
    return error ? error : fat_write(&volume, &file, offset, from, length);
}

static void forget(void)
{
    wipe(volume.block, sizeof volume.block);
    volume.cached_lba = UINT32_MAX;
}

const struct medium MEDIUM_SD = { "sd", 1, true, present, size, read, write, forget };
