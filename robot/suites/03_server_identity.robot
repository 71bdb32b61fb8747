# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       The device talks to its own server only.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Server Of Another Authority Is Refused
    [Tags]    A17
    Impersonator Is Refused    untrusted    none    untrusted-ca    48

Server Of Another Authority Is Refused With Credentials On SD
    [Tags]    A17    elsewhere
    Impersonator Is Refused    untrusted    sd    untrusted-ca    48

Server Of Another Authority Is Refused With Credentials In EEPROM
    [Tags]    A17    elsewhere
    Impersonator Is Refused    untrusted    eeprom    untrusted-ca    48

Server With Another Host Name Is Refused
    [Tags]    A17
    Impersonator Is Refused    wrong-host    none    host-name    42

Server With Another Host Name Is Refused With Credentials On SD
    [Tags]    A17    elsewhere
    Impersonator Is Refused    wrong-host    sd    host-name    42

Server With Another Host Name Is Refused With Credentials In EEPROM
    [Tags]    A17    elsewhere
    Impersonator Is Refused    wrong-host    eeprom    host-name    42

Server With An Expired Certificate Is Refused
    [Tags]    A18
    Stale Server Is Refused    expired    none    expired    45

Server With An Expired Certificate Is Refused With Credentials On SD
    [Tags]    A18    elsewhere
    Stale Server Is Refused    expired    sd    expired    45

Server With An Expired Certificate Is Refused With Credentials In EEPROM
    [Tags]    A18    elsewhere
    Stale Server Is Refused    expired    eeprom    expired    45

Server With A Certificate From The Future Is Refused
    [Tags]    A18
    Stale Server Is Refused    not-yet-valid    none    not-yet-valid    46

Clock Set Back Does Not Revive A Certificate The Device Has Outlived
    [Documentation]    The time of SNTP counts only if it is not before what a verified server has confirmed.
    [Tags]    A18
    Given A Device
    Power On
    Device Should Publish    offchip/feed
    Use A Stale Server Certificate    expired    clock_back_days=14
    Device Should Fail Every Attempt    ^clock: refused \\S+ source=sntp floor=\\S+
    Rogue Should Have Got Nothing    calls=0
    Verdict Should Be    held    the clock does not go back behind what a server proved

Clock Set Back Revives An Old Certificate On A Device That Has Never Connected
    [Documentation]    Nobody vouches for the time of SNTP, and a new device knows no better than its firmware's date.
    [Tags]    A18
    Given A Device
    Use A Stale Server Certificate    expired    clock_back_days=14
    Console Should Show    ^clock: \\S+ source=sntp
    Console Should Show    ^mqtt: published
    Rogue Should Have Received Device Data
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    broken    a new device believes any time after its firmware's date

*** Keywords ***
Impersonator Is Refused
    [Arguments]    ${certificate}    ${medium}    ${reason}    ${alert}
    ${scheme}=    Set Variable If    '${medium}' == 'none'    internal    plain
    Given A Device    scheme=${scheme}    medium=${medium}
    Impersonate The Server    ${certificate}
    Server Is Refused Every Time    ${reason}    ${alert}

Stale Server Is Refused
    [Arguments]    ${certificate}    ${medium}    ${reason}    ${alert}
    ${scheme}=    Set Variable If    '${medium}' == 'none'    internal    plain
    Given A Device    scheme=${scheme}    medium=${medium}
    Use A Stale Server Certificate    ${certificate}
    Server Is Refused Every Time    ${reason}    ${alert}

Server Is Refused Every Time
    [Arguments]    ${reason}    ${alert}
    Device Should Fail Every Attempt    ^tls: refused reason=${reason}$
    Rogue Should Have Got Nothing    calls=5    alert=${alert}
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    the device ended each handshake before it sent anything of its own
