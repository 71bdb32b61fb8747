# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Two topics to publish on and one to listen to; anything else ends the session at once.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}

*** Test Cases ***
Third Topic Ends The Session At Once With Internal Credentials
    Third Topic Ends The Session    internal    none

Third Topic Ends The Session At Once With Credentials On SD
    Third Topic Ends The Session    plain    sd

Third Topic Ends The Session At Once With Credentials In EEPROM
    Third Topic Ends The Session    plain    eeprom

Topic Of Another Thing Ends The Session At Once With Internal Credentials
    Topic Of Another Thing Ends The Session    internal    none

Topic Of Another Thing Ends The Session At Once With Credentials On SD
    Topic Of Another Thing Ends The Session    plain    sd

Topic Of Another Thing Ends The Session At Once With Credentials In EEPROM
    Topic Of Another Thing Ends The Session    plain    eeprom

Forbidden Subscription Ends The Session At Once With Internal Credentials
    Forbidden Subscription Ends The Session    internal    none

Forbidden Subscription Ends The Session At Once With Credentials On SD
    Forbidden Subscription Ends The Session    plain    sd

Forbidden Subscription Ends The Session At Once With Credentials In EEPROM
    Forbidden Subscription Ends The Session    plain    eeprom

*** Keywords ***
Third Topic Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    ...    publish_topics=${{['offchip/things/thing-1', 'offchip/feed', 'offchip/third']}}
    The Attack Is    A21
    Power On
    Device Should Publish    offchip/feed
    Let The Device Publish On    offchip/third
    Broker Should Have Forbidden Publishing    offchip/third
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Console Should Show    ^mqtt: (closed|error)
    Models Should Have No Complaints
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS

Topic Of Another Thing Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    publish_topics=${{['offchip/things/thing-2']}}
    The Attack Is    A21
    Power On
    Let The Device Publish On    offchip/things/thing-2
    Broker Should Have Forbidden Publishing    offchip/things/thing-2
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Models Should Have No Complaints
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS

Forbidden Subscription Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    subscribe_filters=${{['offchip/things/#']}}
    The Attack Is    A21
    Power On
    Let The Device Subscribe To    offchip/things/#
    Broker Should Have Forbidden Subscribing    offchip/things/#
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Models Should Have No Complaints
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS
