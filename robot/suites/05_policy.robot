# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Two topics to publish on and one to listen to; anything else ends the session at once.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Tags           A21

*** Test Cases ***
Third Topic Ends The Session At Once With Internal Credentials
    Third Topic Ends The Session    internal    none

Third Topic Ends The Session At Once With Credentials On SD
    [Tags]    elsewhere
    Third Topic Ends The Session    plain    sd

Third Topic Ends The Session At Once With Credentials In EEPROM
    [Tags]    elsewhere
    Third Topic Ends The Session    plain    eeprom

Topic Of Another Thing Ends The Session At Once With Internal Credentials
    Topic Of Another Thing Ends The Session    internal    none

Topic Of Another Thing Ends The Session At Once With Credentials On SD
    [Tags]    elsewhere
    Topic Of Another Thing Ends The Session    plain    sd

Topic Of Another Thing Ends The Session At Once With Credentials In EEPROM
    [Tags]    elsewhere
    Topic Of Another Thing Ends The Session    plain    eeprom

Forbidden Subscription Ends The Session At Once With Internal Credentials
    Forbidden Subscription Ends The Session    internal    none

Forbidden Subscription Ends The Session At Once With Credentials On SD
    [Tags]    elsewhere
    Forbidden Subscription Ends The Session    plain    sd

Forbidden Subscription Ends The Session At Once With Credentials In EEPROM
    [Tags]    elsewhere
    Forbidden Subscription Ends The Session    plain    eeprom

*** Keywords ***
Third Topic Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}
    ...    publish_topics=${{['offchip/things/thing-1', 'offchip/feed', 'offchip/third']}}
    Exceed The Rights    device    publish=offchip/third
    Device Should Publish    offchip/feed
    Device Should Have Lost Its Session
    Broker Should Have Forbidden Publishing    offchip/third    times=5
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS    within_ms=100    times=5
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS, each time

Topic Of Another Thing Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    publish_topics=${{['offchip/things/thing-2']}}
    Exceed The Rights    device    publish=offchip/things/thing-2
    Device Should Have Lost Its Session
    Broker Should Have Forbidden Publishing    offchip/things/thing-2    times=5
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS    within_ms=100    times=5
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS, each time

Forbidden Subscription Ends The Session
    [Arguments]    ${scheme}    ${medium}
    Given A Device    scheme=${scheme}    medium=${medium}    subscribe_filters=${{['offchip/things/#']}}
    Exceed The Rights    device    subscribe=offchip/things/#
    Device Should Have Lost Its Session
    Broker Should Have Forbidden Subscribing    offchip/things/#    times=5
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS    within_ms=100    times=5
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS, each time
