# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       What a device pays at each start for the full answer; the cells of the matrix measure the other schemes.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Tags           functional    cost
Test Template       Connecting Should Cost At Most

*** Test Cases ***
Connecting With Fresh On The SD Card Costs At Most 15 Per Cent More Than Plain
    15    fresh    sd

Connecting With Fresh In The EEPROM Costs At Most 15 Per Cent More Than Plain
    15    fresh    eeprom
