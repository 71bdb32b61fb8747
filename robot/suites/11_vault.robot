# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       What the chip keeps: no key in memory longer than it is used, nothing at all once the lid was opened,
...                 and a defined state when a medium goes in the middle of its work.
Resource            memory.resource
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Memory Holds No Key Behind First Boot, Handshake And Rotation With An SD Card
    [Tags]    functional
    [Template]    Memory Is Clean Behind First Boot, Handshake And Rotation
    fresh    sd

Memory Holds No Key Behind First Boot, Handshake And Rotation With An EEPROM
    [Tags]    functional
    [Template]    Memory Is Clean Behind First Boot, Handshake And Rotation
    fresh    eeprom

Memory Holds No RSA Key Behind First Boot And Handshake
    [Tags]    functional
    [Template]    Memory Is Clean Of An RSA Key
    fresh    eeprom

No Nonce Serves Twice On The SD Card
    [Tags]    functional    elsewhere
    [Template]    Nonces Never Come Again
    fresh    sd

No Nonce Serves Twice In The EEPROM
    [Tags]    functional
    [Template]    Nonces Never Come Again
    fresh    eeprom

No Nonce Serves Twice Under One Key For All Chunks
    [Tags]    functional
    Given A Device    scheme=sealed    medium=eeprom    rotation=True
    Power On
    Device Should Publish    offchip/feed
    Ask For Another Key
    Console Should Show    ^rotation: issued
    Power Cycle
    Device Should Have Another Certificate
    No Nonce Should Have Served Twice    at_least=5

No Nonce Serves Twice Under A Secret That Outlives A Reset
    [Tags]    functional
    [Template]    Nonces Never Come Again
    fleet-key    eeprom

Memory Holds No Key Behind A Reset And The Enrolment After It
    [Tags]    functional
    Given A Device    scheme=fresh    medium=eeprom    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Note What Is Secret
    Power Off
    Damage The Medium    eeprom    wipe
    Power On
    Console Should Show    ^vault: reset
    Device Should Have Enrolled
    Nothing That Was Given Up Should Be Left
    Memory Should Hold No Key While The Device Waits

Opened Lid Leaves No Key On The Chip Or The SD Card
    [Tags]    functional
    [Template]    Opened Lid Leaves Nothing
    sd    ^mqtt: published

Opened Lid Leaves No Key On The Chip Or The EEPROM
    [Tags]    functional
    [Template]    Opened Lid Leaves Nothing
    eeprom    ^mqtt: published

Lid Opened While The Vault Is At Work Leaves No Key
    [Tags]    functional
    [Template]    Opened Lid Leaves Nothing
    eeprom    ^vault: secret created

Power Cut Right Behind The Opening Of The Lid Leaves No Key
    [Tags]    functional
    Given A Device    scheme=fresh    medium=eeprom    tamper=True    enrol_lost=True
    Power On
    # sealing from here on, for a long while
    Console Should Show    ^vault: secret created
    Note What Is Secret
    Open The Case
    Let Time Pass    0.001
    Power Off
    Close The Case
    Power On
    Console Should Show    ^state: fault reason=tamper
    No Key Should Be Left Anywhere

SD Card Pulled While It Is Read Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    sd    ^boot:    (no-card|timeout|card-error|read-crc)

SD Card Pulled While It Is Written Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    sd    ^boot:    (no-card|timeout|card-error|read-crc)    writing

EEPROM That Falls Silent While It Is Read Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)

EEPROM That Falls Silent While It Is Written Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)    writing

SD Card That Stays Busy When It Is Written Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    sd    ^boot:    (no-card|timeout|card-error|read-crc)    writing    stuck

EEPROM Whose Data Line Is Held Low While It Is Read Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)    reading    stuck

EEPROM Whose Data Line Is Held Low While It Is Written Is Waited For
    [Tags]    A09
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)    writing    stuck

SD Card Pulled While It Is Written Is Waited For Under Encrypted
    [Tags]    A09    elsewhere
    [Template]    Medium Goes And Comes Back
    sd    ^boot:    (no-card|timeout|card-error|read-crc)    writing    scheme=encrypted

SD Card Pulled While It Is Read Is Waited For Under Sealed
    [Tags]    A09    elsewhere
    [Template]    Medium Goes And Comes Back
    sd    ^boot:    (no-card|timeout|card-error|read-crc)    scheme=sealed

EEPROM Whose Data Line Is Held Low While It Is Written Is Waited For Under Labelled
    [Tags]    A09    elsewhere
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)    writing    stuck    scheme=labelled

EEPROM Whose Data Line Is Held Low While It Is Read Is Waited For Under Split
    [Tags]    A09    elsewhere
    [Template]    Medium Goes And Comes Back
    eeprom    ^boot:    eeprom-(absent|timeout)    reading    stuck    scheme=split

*** Keywords ***
Nonces Never Come Again
    [Documentation]    First boot, a rotation that is cut and done again, a medium that is put back, a reset and the
    ...    enrolment after it.
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    rotation=True    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Note What Is Secret
    Keep A Copy    ${medium}
    Ask For Another Key
    Console Should Show    ^rotation: issued
    Power Cycle
    Device Should Have Another Certificate
    Note What Is Secret
    Power Off
    Put The Copy Back    ${medium}
    Leave Power On
    Console Should Show    ^vault: reset
    Device Should Have Enrolled
    No Nonce Should Have Served Twice    at_least=8

Opened Lid Leaves Nothing
    [Arguments]    ${medium}    ${moment}
    Given A Device    scheme=fresh    medium=${medium}    tamper=True    enrol_lost=True
    Power On
    Console Should Show    ${moment}
    Note What Is Secret
    Open The Case
    IF    '${moment}' == '^mqtt: published'
        Let Time Pass    0.02
        No Key Should Be Left Anywhere
    END
    Console Should Show    ^state: fault reason=tamper
    No Key Should Be Left Anywhere

Medium Goes And Comes Back
    [Documentation]    One line says what is wrong, the device lives on, and works when the medium does.
    [Arguments]    ${medium}    ${moment}    ${reason}    ${doing}=reading    ${damage}=pull    ${scheme}=fresh
    VAR    &{stored}    sd=${12000}    eeprom=${600}
    Given A Device    scheme=${scheme}    medium=${medium}
    Power On
    Console Should Show    ${moment}
    IF    '${doing}' == 'writing'
        Let It Begin To Write
    ELSE
        Let It Begin To Read    ${medium}    ${stored}[${medium}]
    END
    Damage The Medium    ${medium}    ${damage}
    Console Should Show    ^storage: error ${reason}    timeout=5
    Device Should Stay Alive    15
    IF    '${damage}' == 'pull'
        Insert    ${medium}
    ELSE
        Let Go Of The Bus
    END
    Device Should Publish    offchip/feed    timeout=120
    Verdict Should Be    degraded    silent while the medium is away, back when it is back
