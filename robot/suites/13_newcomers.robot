# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Enrolment on the chip under the other schemes; suite 08 has the full answer and the card in clear.
Resource            enrolment.resource
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Tags           functional    elsewhere
Test Template       Newcomer Enrols And Stays Who It Is

*** Test Cases ***
Newcomer Under Internal In The Chip Makes Its Own Key And Publishes
    internal    none

Newcomer Under Plain In The EEPROM Makes Its Own Key And Publishes
    plain    eeprom

Newcomer Under Split-Plain On The SD Card Makes Its Own Key And Publishes
    split-plain    sd

Newcomer Under Encrypted On The SD Card Makes Its Own Key And Publishes
    encrypted    sd

Newcomer Under Sealed On The SD Card Makes Its Own Key And Publishes
    sealed    sd

Newcomer Under Labelled On The SD Card Makes Its Own Key And Publishes
    labelled    sd

Newcomer Under Split On The SD Card Makes Its Own Key And Publishes
    split    sd

Newcomer Under Fleet-Key On The SD Card Makes Its Own Key And Publishes
    fleet-key    sd

Newcomer Under Split-Plain In The EEPROM Makes Its Own Key And Publishes
    split-plain    eeprom

Newcomer Under Encrypted In The EEPROM Makes Its Own Key And Publishes
    encrypted    eeprom

Newcomer Under Sealed In The EEPROM Makes Its Own Key And Publishes
    sealed    eeprom

Newcomer Under Labelled In The EEPROM Makes Its Own Key And Publishes
    labelled    eeprom

Newcomer Under Split In The EEPROM Makes Its Own Key And Publishes
    split    eeprom

Newcomer Under Fleet-Key In The EEPROM Makes Its Own Key And Publishes
    fleet-key    eeprom
