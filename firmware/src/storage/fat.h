/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, and changing in place, files of a FAT16 or FAT32 volume by 8.3 path. Trusts nothing on the medium: every number is checked
 * against the volume, every chain is bounded. Layout: Microsoft FAT32 File System Specification 1.03 ("FAT spec"). */
#ifndef FAT_H
#define FAT_H
#include <stddef.h>
#include <stdint.h>
#include "storage/storage_error.h"

/* Read and write one 512-byte block of the medium. */
typedef enum storage_error fat_read_block(void *medium, uint32_t lba, uint8_t to[512]);
typedef enum storage_error fat_write_block(void *medium, uint32_t lba, const uint8_t from[512]);

struct fat_volume {
    fat_read_block *read_block;
    fat_write_block *write_block;
    void *medium;
    uint32_t fat_start;    /* block of the first FAT */
    uint32_t fat_blocks;   /* size of one FAT */
    uint32_t root_start;   /* FAT16: first block of the root directory */
    uint32_t root_entries; /* FAT16: 32-byte entries of it; FAT32: 0 */
    uint32_t root_cluster; /* FAT32 */
    uint32_t data_start;   /* block of cluster 2 */
    uint32_t clusters;     /* valid numbers are 2 .. clusters + 1 */
    uint32_t cluster_blocks;
    uint32_t cached_lba; /* block in `block`; UINT32_MAX: none */
    uint8_t block[512];
    uint32_t fat_lba; /* likewise of the FAT: a chain is followed for each piece of a file */
    uint8_t fat[512];
};

struct fat_file {
    uint32_t cluster; /* the first; not yet checked */
    uint32_t size;    /* bytes */
};

/* Finds the first FAT partition of an MBR, or a volume without partition table. `blocks` is the size of the medium;
 * `write_block` may be NULL if nothing will be written. STORAGE_NO_FILESYSTEM, or what read_block returns. */
enum storage_error fat_mount(struct fat_volume *volume, fat_read_block *read_block, fat_write_block *write_block,
                             void *medium, uint32_t blocks);

/* Finds the file "/DIR/NAME.EXT" (case does not matter). STORAGE_FILE_MISSING, STORAGE_NO_FILESYSTEM (a damaged
 * chain), or what read_block returns. */
enum storage_error fat_open(struct fat_volume *volume, const char *path, struct fat_file *file);

/* `length` bytes from `offset` on; STORAGE_FILE_TOO_LARGE: that is beyond the file. Writing goes to the file's own
 * clusters, block by block, each read first unless it is written as a whole: directory and FAT never change.
 * STORAGE_NO_FILESYSTEM (a damaged chain), or what read_block or write_block returns. */
enum storage_error fat_read(struct fat_volume *volume, const struct fat_file *file, uint32_t offset, uint8_t *to,
                            uint32_t length);
enum storage_error fat_write(struct fat_volume *volume, const struct fat_file *file, uint32_t offset,
                             const uint8_t *from, uint32_t length);
#endif
