# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       A missing, unreadable or damaged medium: the device reports it in one line, lives on and retries.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}
Test Tags           A09    CWE-703
Test Template       Device Reports And Lives On

*** Test Cases ***                                                          MEDIUM    DAMAGE         CONSOLE
Missing SD Card Is Reported And Survived                                    sd        absent         no-card
Missing EEPROM Is Reported And Survived                                     eeprom    absent         eeprom-absent
SD Card Of Noise Is Reported And Survived                                   sd        noise          no-filesystem
SD Card With A Spoilt Boot Sector Is Reported And Survived                  sd        boot-sector    no-filesystem
Wiped SD Card Is Reported And Survived                                      sd        wipe           no-filesystem
SD Card Without The Key File Is Reported And Survived                       sd        file           file-missing DEVICE.KEY
EEPROM Of Noise Is Reported And Survived                                    eeprom    noise          record-magic
Wiped EEPROM Is Reported And Survived                                       eeprom    wipe           record-magic
EEPROM With One Flipped Bit Is Reported And Survived                        eeprom    bit            record-crc
SD Card With Its Output Shorted To Ground Is Reported And Survived
    [Template]    Device Survives A Stuck Card Output
    0
SD Card With Its Output Open Is Reported And Survived
    [Template]    Device Survives A Stuck Card Output
    255
SD Block Changed On The Bus Is Noticed By Its Checksum
    [Template]    NONE
    [Tags]    A10    CWE-345
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A10
    Change The Card Block On The Bus    block=0    offset=11    data=${{b'\x00\x00'}}
    Power On
    Console Should Show    ^storage: error read-crc
    Collect What The Probe Changed
    Device Should Stay Alive    20
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    CRC16 catches a change that does not repair it
SD Card With A Malformed Certificate Is Reported And Survived
    [Template]    NONE
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A09
    Damage    sd    pem
    Power On
    Console Should Show    ^credentials: error certificate-malformed
    Device Should Stay Alive    20
    Verdict Should Be    degraded    the device has no credentials, says so and lives on
SD Card Pulled While Publishing Is Survived And Found Again When Put Back
    [Template]    NONE
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A09
    Power On
    Device Should Publish    offchip/feed
    Pull    sd
    Drop The Connection
    Console Should Show    ^storage: error (no-card|timeout)
    Device Should Stay Alive    10
    Insert    sd
    Device Should Publish    offchip/feed    timeout=120
    Models Should Have No Complaints
    Verdict Should Be    degraded    silent while the card is out, back when it is back

*** Keywords ***
Device Survives A Stuck Card Output
    [Arguments]    ${level}
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A09
    Hold The Card Output At    ${level}
    Power On
    Console Should Show    ^storage: error (no-card|timeout|card-error)
    Collect What The Probe Changed
    Device Should Stay Alive    20
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    degraded    the device has no credentials, says so and lives on

Device Reports And Lives On
    [Arguments]    ${medium}    ${damage}    ${reason}
    Given A Device    scheme=plain    medium=${medium}
    The Attack Is    A09
    IF    '${damage}' == 'absent'
        Pull    ${medium}
    ELSE
        Damage    ${medium}    ${damage}    offset=100
    END
    Power On
    Console Should Show    ^storage: error ${reason}
    Device Should Stay Alive    20
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    degraded    the device has no credentials, says so and lives on
