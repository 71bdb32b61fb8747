# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       The server lets in registered, active certificates only, each for its own thing.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}

*** Test Cases ***
Client Without A Certificate Is Refused With The Right Alert
    Given A Device
    The Attack Is    A21
    Connect As The Device    identity=none
    Broker Should Have Sent Alert    116    certificate_required
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    no certificate, no session

Unknown Certificate Of The Owner's Authority Is Refused With Internal Credentials
    Device With Unknown Certificate Is Refused    internal    none

Unknown Certificate Of The Owner's Authority Is Refused With Credentials On SD
    Device With Unknown Certificate Is Refused    plain    sd

Unknown Certificate Of The Owner's Authority Is Refused With Credentials In EEPROM
    Device With Unknown Certificate Is Refused    plain    eeprom

Certificate Of A Foreign Authority Is Refused With Internal Credentials
    Device With Foreign Certificate Is Refused    internal    none

Certificate Of A Foreign Authority Is Refused With Credentials On SD
    Device With Foreign Certificate Is Refused    plain    sd

Certificate Of A Foreign Authority Is Refused With Credentials In EEPROM
    Device With Foreign Certificate Is Refused    plain    eeprom

Inactive Certificate Is Refused With Internal Credentials
    Device With Inactive Certificate Is Refused    internal    none

Inactive Certificate Is Refused With Credentials On SD
    Device With Inactive Certificate Is Refused    plain    sd

Inactive Certificate Is Refused With Credentials In EEPROM
    Device With Inactive Certificate Is Refused    plain    eeprom

Client Id Of Another Thing Is Refused With Internal Credentials
    Client Id Of Another Thing Is Refused From    internal    none

Client Id Of Another Thing Is Refused With Credentials On SD
    Client Id Of Another Thing Is Refused From    plain    sd

Client Id Of Another Thing Is Refused With Credentials In EEPROM
    Client Id Of Another Thing Is Refused From    plain    eeprom

Device Deactivated While Connected Is Dropped And Cannot Return With Internal Credentials
    Deactivated Device Is Dropped And Cannot Return    internal    none

Device Deactivated While Connected Is Dropped And Cannot Return With Credentials On SD
    Deactivated Device Is Dropped And Cannot Return    plain    sd

Device Deactivated While Connected Is Dropped And Cannot Return With Credentials In EEPROM
    Deactivated Device Is Dropped And Cannot Return    plain    eeprom

*** Keywords ***
Device With Inactive Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    The Attack Is    A19
    Deactivate The Device Certificate
    Present The Certificate
    Device Should Wait With Reason    \\S+
    Broker Should Have Refused The Certificate    INACTIVE
    Broker Should Never Have Connected    thing-1
    Models Should Have No Complaints
    Verdict Should Be    held    an inactive certificate gets no session

Client Id Of Another Thing Is Refused From
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    client_id=thing-2
    The Attack Is    A21
    Power On
    Present The Client Id    thing-2
    Broker Should Have Refused The Connect    thing-2
    Broker Should Never Have Connected    thing-2
    Models Should Have No Complaints
    Verdict Should Be    held    the certificate is bound to its own thing

Deactivated Device Is Dropped And Cannot Return
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    The Attack Is    A19
    Power On
    Device Should Publish    offchip/feed
    Deactivate The Device Certificate
    Console Should Show    ^mqtt: (closed|error)
    Present The Certificate
    Device Should Stay Alive    10
    Broker Should Have Refused The Certificate    INACTIVE
    Broker Should Have Sessions    thing-1    1
    Verdict Should Be    held    dropped at once, no way back

Device With Unknown Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    certificate=unregistered
    The Attack Is    A21
    Present The Certificate
    Device Should Wait With Reason    \\S+
    Broker Should Have Refused The Certificate    not registered
    Broker Should Never Have Connected    thing-1
    Models Should Have No Complaints
    Verdict Should Be    held    an unregistered certificate gets no session

Device With Foreign Certificate Is Refused
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    certificate=foreign
    The Attack Is    A21
    Present The Certificate
    Console Should Show    ^tls: alert 48 unknown_ca
    Broker Should Have Sent Alert    48    unknown_ca
    Broker Should Never Have Connected    thing-1
    Models Should Have No Complaints
    Verdict Should Be    held    the server trusts its own authority only
