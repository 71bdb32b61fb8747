# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       The server lets in registered, active certificates only, each for its own thing.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Client Without A Certificate Is Refused With The Right Alert
    [Tags]    A21
    Given A Device
    Power On
    Device Should Publish    offchip/feed
    FOR    ${attempt}    IN RANGE    5
        Exceed The Rights    nobody    client_id=thing-2
        Broker Should Have Sent Alert    116    certificate_required
    END
    Broker Should Never Have Connected    thing-2
    Verdict Should Be    held    no certificate, no session

Unknown Certificate Of The Owner's Authority Is Refused With Internal Credentials
    [Tags]    A21
    Device With Unknown Certificate Is Refused    internal    none

Unknown Certificate Of The Owner's Authority Is Refused With Credentials On SD
    [Tags]    A21    elsewhere
    Device With Unknown Certificate Is Refused    plain    sd

Unknown Certificate Of The Owner's Authority Is Refused With Credentials In EEPROM
    [Tags]    A21    elsewhere
    Device With Unknown Certificate Is Refused    plain    eeprom

Certificate Of A Foreign Authority Is Refused With Internal Credentials
    [Tags]    A21
    Device With Foreign Certificate Is Refused    internal    none

Certificate Of A Foreign Authority Is Refused With Credentials On SD
    [Tags]    A21    elsewhere
    Device With Foreign Certificate Is Refused    plain    sd

Certificate Of A Foreign Authority Is Refused With Credentials In EEPROM
    [Tags]    A21    elsewhere
    Device With Foreign Certificate Is Refused    plain    eeprom

Inactive Certificate Is Refused With Internal Credentials
    [Tags]    A19
    Device With Inactive Certificate Is Refused    internal    none

Inactive Certificate Is Refused With Credentials On SD
    [Tags]    A19    elsewhere
    Device With Inactive Certificate Is Refused    plain    sd

Inactive Certificate Is Refused With Credentials In EEPROM
    [Tags]    A19    elsewhere
    Device With Inactive Certificate Is Refused    plain    eeprom

Client Id Of Another Thing Is Refused With Internal Credentials
    [Tags]    A21
    Client Id Of Another Thing Is Refused From    internal    none

Client Id Of Another Thing Is Refused With Credentials On SD
    [Tags]    A21    elsewhere
    Client Id Of Another Thing Is Refused From    plain    sd

Client Id Of Another Thing Is Refused With Credentials In EEPROM
    [Tags]    A21    elsewhere
    Client Id Of Another Thing Is Refused From    plain    eeprom

Device Deactivated While Connected Is Dropped And Cannot Return With Internal Credentials
    [Tags]    A19
    Deactivated Device Is Dropped And Cannot Return    internal    none

Device Deactivated While Connected Is Dropped And Cannot Return With Credentials On SD
    [Tags]    A19    elsewhere
    Deactivated Device Is Dropped And Cannot Return    plain    sd

Device Deactivated While Connected Is Dropped And Cannot Return With Credentials In EEPROM
    [Tags]    A19    elsewhere
    Deactivated Device Is Dropped And Cannot Return    plain    eeprom

*** Keywords ***
Device With Inactive Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    Deactivate The Device Certificate
    Return After Deactivation
    Device Should Fail Every Attempt    ^state: waiting reason=(tls|mqtt)
    Broker Should Have Refused The Certificate    INACTIVE    times=5
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    an inactive certificate gets no session

Client Id Of Another Thing Is Refused From
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    client_id=thing-2
    Exceed The Rights    device    client_id=thing-2
    Device Should Fail Every Attempt    ^state: waiting reason=mqtt
    Broker Should Have Refused The Connect    thing-2    times=5
    Broker Should Never Have Connected    thing-2
    Verdict Should Be    held    the certificate is bound to its own thing

Deactivated Device Is Dropped And Cannot Return
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    Power On
    Device Should Publish    offchip/feed
    Deactivate The Device Certificate
    Return After Deactivation
    Broker Should Have Disconnected    thing-1    AUTH_ERROR    within_ms=100
    Device Should Have Lost Its Session
    Device Should Fail Every Attempt    ^state: waiting reason=(tls|mqtt)
    Broker Should Have Refused The Certificate    INACTIVE    times=4
    Broker Should Have Sessions    thing-1    1
    Verdict Should Be    held    dropped at once, no way back

Device With Unknown Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    certificate=unregistered
    Exceed The Rights    device
    Device Should Fail Every Attempt    ^state: waiting reason=(tls|mqtt)
    Broker Should Have Refused The Certificate    not registered    times=5
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    an unregistered certificate gets no session

Device With Foreign Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    certificate=foreign
    Exceed The Rights    device
    Device Should Fail Every Attempt    ^tls: alert 48 unknown_ca
    Broker Should Have Sent Alert    48    unknown_ca
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    the server trusts its own authority only
