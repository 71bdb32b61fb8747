/* SPDX-License-Identifier: Apache-2.0 */
/* The SD card: files in the folder CREDS of its first FAT volume, changed in place only. */
#ifndef MEDIUM_SD_H
#define MEDIUM_SD_H
#include "vault/medium.h"

extern const struct medium MEDIUM_SD;
#endif
