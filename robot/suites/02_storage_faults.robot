# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       A missing, unreadable or damaged medium: the device reports it in one line, lives on and retries.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Template       Device Reports And Lives On

*** Test Cases ***                                                          MEDIUM    DAMAGE         CONSOLE
Missing SD Card Is Reported And Survived                                    sd        pull           no-card
    [Tags]    A09
Missing EEPROM Is Reported And Survived                                     eeprom    pull           eeprom-absent
    [Tags]    A09
SD Card Of Noise Is Reported And Survived                                   sd        noise          no-filesystem
    [Tags]    A09
SD Card With A Spoilt Boot Sector Is Reported And Survived                  sd        boot-sector    no-filesystem
    [Tags]    A09
Wiped SD Card Is Reported And Survived                                      sd        wipe           no-filesystem
    [Tags]    A09
SD Card Without The Key File Is Reported And Survived                       sd        file           file-missing DEVICE.KEY
    [Tags]    A09
EEPROM Of Noise Is Reported And Survived                                    eeprom    noise          record-magic
    [Tags]    A09
Wiped EEPROM Is Reported And Survived                                       eeprom    wipe           record-magic
    [Tags]    A09
SD Card With Its Output Shorted To Ground Is Reported And Survived          sd        short          (no-card|timeout|card-error)
    [Tags]    A09
SD Card With Its Output Open Is Reported And Survived                       sd        open           (no-card|timeout|card-error)
    [Tags]    A09
EEPROM That Does Not Answer Is Reported And Survived                        eeprom    open           eeprom-absent
    [Tags]    A09
EEPROM With Its Data Line Shorted To Ground Is Reported And Survived        eeprom    short          eeprom-(absent|timeout)
    [Tags]    A09

EEPROM With One Flipped Bit Is Reported And Survived
    [Tags]    A03
    [Template]    Changed Record Is Noticed
    eeprom    flip    ^storage: error record-crc    no

SD Card With One Flipped Bit In The Key Is Reported And Survived
    [Tags]    A03
    [Template]    Changed Record Is Noticed
    sd    flip    ^credentials: error key-(malformed|mismatch)

SD Card With A Malformed Certificate Is Reported And Survived
    [Tags]    A03
    [Template]    Changed Record Is Noticed
    sd    truncate    ^credentials: error certificate-malformed

EEPROM With A Cut Record Is Reported And Survived
    [Tags]    A03
    [Template]    Changed Record Is Noticed
    eeprom    truncate    ^storage: error record-crc    no

SD Card Pulled While Publishing Is Survived And Found Again When Put Back
    [Tags]    A09
    [Template]    NONE
    Given A Device    scheme=plain    medium=sd
    Power On
    Device Should Publish    offchip/feed
    Damage The Medium    sd    pull
    Let The Network Fail
    Console Should Show    ^storage: error (no-card|timeout)
    Device Should Stay Alive    20
    Insert    sd
    Device Should Publish    offchip/feed    timeout=120
    Verdict Should Be    degraded    silent while the card is out, back when it is back

*** Keywords ***
Device Reports And Lives On
    [Arguments]    ${medium}    ${damage}    ${reason}
    Given A Device    scheme=plain    medium=${medium}
    Damage The Medium    ${medium}    ${damage}
    Device Complains And Never Connects    ^storage: error ${reason}
    Verdict Should Be    degraded    the device has no credentials, says so and lives on

Changed Record Is Noticed
    [Arguments]    ${medium}    ${change}    ${complaint}    ${repair_crc}=yes
    Given A Device    scheme=plain    medium=${medium}
    Change The Record    ${medium}    ${change}    ${repair_crc}
    Device Complains And Never Connects    ${complaint}
    Verdict Should Be    degraded    the device refuses what was changed, says so and lives on

Device Complains And Never Connects
    [Arguments]    ${complaint}
    Leave Power On
    Console Should Show    ${complaint}
    Device Should Stay Alive    15
    Device Should Fail Every Attempt    ${complaint}
    Broker Should Never Have Connected    thing-1
