# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       No key stays in memory under the other schemes and with the other kind of key; suite 11 has the full answer.
Resource            memory.resource
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Tags           functional    elsewhere
Test Template       Memory Is Clean Behind First Boot, Handshake And Rotation

*** Test Cases ***
Memory Holds No Key Under Internal In The Chip
    internal    none

Memory Holds No Key Under Plain On The SD Card
    plain    sd

Memory Holds No Key Under Split-Plain On The SD Card
    split-plain    sd

Memory Holds No Key Under Encrypted On The SD Card
    encrypted    sd

Memory Holds No Key Under Sealed On The SD Card
    sealed    sd

Memory Holds No Key Under Labelled On The SD Card
    labelled    sd

Memory Holds No Key Under Split On The SD Card
    split    sd

Memory Holds No Key Under Fleet-Key On The SD Card
    fleet-key    sd

Memory Holds No Key Under Plain In The EEPROM
    plain    eeprom

Memory Holds No Key Under Split-Plain In The EEPROM
    split-plain    eeprom

Memory Holds No Key Under Encrypted In The EEPROM
    encrypted    eeprom

Memory Holds No Key Under Sealed In The EEPROM
    sealed    eeprom

Memory Holds No Key Under Labelled In The EEPROM
    labelled    eeprom

Memory Holds No Key Under Split In The EEPROM
    split    eeprom

Memory Holds No Key Under Fleet-Key In The EEPROM
    fleet-key    eeprom

Memory Holds No RSA Key Under Internal In The Chip
    [Template]    Memory Is Clean Of An RSA Key
    internal    none

Memory Holds No RSA Key Under Plain On The SD Card
    [Template]    Memory Is Clean Of An RSA Key
    plain    sd

Memory Holds No RSA Key Under Encrypted In The EEPROM
    [Template]    Memory Is Clean Of An RSA Key
    encrypted    eeprom

Memory Holds No RSA Key Under Fresh On The SD Card
    [Template]    Memory Is Clean Of An RSA Key
    fresh    sd
