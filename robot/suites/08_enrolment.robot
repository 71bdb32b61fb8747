# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Where a device's identity comes from: a key made on the chip, another one when the owner asks, and
...                 another one when the medium has lost what it held. The teardown looks for each key on every line,
...                 bus and medium.
Resource            enrolment.resource
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Newcomer With An SD Card Makes Its Own Key And Publishes
    [Tags]    functional
    [Template]    Newcomer Enrols And Stays Who It Is
    fresh    sd

Newcomer With An EEPROM Makes Its Own Key And Publishes
    [Tags]    functional
    [Template]    Newcomer Enrols And Stays Who It Is
    fresh    eeprom

Newcomer With A Card In Clear Makes Its Own Key And Publishes
    [Tags]    functional
    [Template]    Newcomer Enrols And Stays Who It Is
    plain    sd

Power Lost In The Middle Of An Enrolment Costs Nothing
    [Tags]    functional
    Given A Device    scheme=fresh    medium=sd    newcomer=True
    Power On
    Console Should Show    ^enrolment: issued
    Power Cycle
    Device Should Have Enrolled

Claim Identity Is Good For Nothing But To Enrol
    [Tags]    functional
    Given A Device    scheme=fresh    medium=sd    newcomer=True
    FOR    ${topic}    IN    offchip/feed    offchip/things/thing-1    offchip/things/thing-1/rotate/csr
        Present The Claim    ${topic}
        Broker Should Have Forbidden Publishing    ${topic}
    END

Claim Of One Device Enrols No Other
    [Tags]    functional
    Given A Device    scheme=fresh    medium=sd    newcomer=True
    Power On
    Enrol With The Claim As    thing-2
    Broker Should Have Refused To Enrol    thing-2
    Device Should Have Enrolled

Owner Replaces The Key On The SD Card Over The Air
    [Tags]    functional
    [Template]    Owner Replaces The Key
    fresh    sd

Owner Replaces The Key In The EEPROM Over The Air
    [Tags]    functional
    [Template]    Owner Replaces The Key
    fresh    eeprom

Power Lost In The Middle Of A Rotation Costs Nothing
    [Tags]    functional
    Given A Device    scheme=fresh    medium=eeprom    rotation=True
    Power On
    Device Should Publish    offchip/feed
    Ask For Another Key
    Console Should Show    ^rotation: issued
    Power Cycle
    Device Should Have Another Certificate
    Present The Factory Certificate
    Broker Should Have Refused The Certificate    INACTIVE

Changed Record On The SD Card Ends In A New Identity
    [Tags]    A03
    Given A Device    scheme=fresh    medium=sd    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Change The Record    sd    flip
    Leave Power On
    Console Should Show    ^storage: error record-forged
    Device Comes Back As Itself
    Verdict Should Be    held    noticed and never used; the device makes itself another identity

Wiped SD Card Is Waited For And A Fresh One Ends In A New Identity
    [Tags]    A09
    Given A Device    scheme=fresh    medium=sd    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Damage The Medium    sd    wipe
    Leave Power On
    Device Should Fail Every Attempt    ^storage: error no-filesystem
    Put In A Fresh Card
    Console Should Show    ^storage: error record-missing device-key
    Device Comes Back As Itself
    Verdict Should Be    degraded    silent until there is a card to keep an identity on, then it makes itself another

Wiped EEPROM Ends In A New Identity
    [Tags]    A09
    Given A Device    scheme=fresh    medium=eeprom    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Damage The Medium    eeprom    wipe
    Leave Power On
    Console Should Show    ^storage: error record-missing device-key
    Device Comes Back As Itself
    Verdict Should Be    degraded    silent until it has made itself another identity; the one it lost opens nothing

Power Lost Between A Reset And The Enrolment After It Costs Nothing
    [Tags]    A09
    Given A Device    scheme=fresh    medium=eeprom    enrol_lost=True
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Damage The Medium    eeprom    wipe
    Leave Power On
    Console Should Show    ^vault: reset
    Power Cycle
    # at its first attempt: the wait behind one alone is longer
    Console Should Show    ^credentials: ok source=claim    timeout=1
    Device Comes Back As Itself
    Verdict Should Be    degraded    silent until it has made itself another identity; what was given up is not given up twice

Wiped EEPROM Without A Claim Is Waited For
    [Tags]    A09
    Given A Device    scheme=fresh    medium=eeprom
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Damage The Medium    eeprom    wipe
    Leave Power On
    Device Should Fail Every Attempt    ^storage: error record-missing device-key
    Verdict Should Be    degraded    the device is silent: nothing on the chip can stand in for what is lost

*** Keywords ***
Owner Replaces The Key
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    rotation=True
    Power On
    Device Should Publish    offchip/feed
    Ask For Another Key
    Device Should Have Another Certificate
    Present The Factory Certificate
    Broker Should Have Refused The Certificate    INACTIVE
    Power Cycle
    Device Should Publish    offchip/feed

Device Comes Back As Itself
    Device Should Have Enrolled
    Present The Factory Certificate
    Broker Should Have Refused The Certificate    INACTIVE
