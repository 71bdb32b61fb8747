# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       From power-on to an accepted message, for each place the credentials can live.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}
Test Tags           functional

*** Test Cases ***
Device Boots And Publishes With Credentials In Internal Flash
    Given A Device    scheme=internal
    Power On
    Device Should Have Connected And Published

Device Boots And Publishes With Credentials On The SD Card
    Given A Device    scheme=plain    medium=sd
    Power On
    Console Should Show    ^storage: sd type=SDSC
    Device Should Have Connected And Published

Device Boots And Publishes With Credentials In The EEPROM
    Given A Device    scheme=plain    medium=eeprom
    Power On
    Console Should Show    ^storage: eeprom bytes=32768
    Device Should Have Connected And Published

Device Speaks TLS 1.2 Where The Factory Says So
    Given A Device    tls=TLS_1_2
    Power On
    Console Should Show    ^tls: connected version=TLSv1.2
    Device Should Publish    offchip/feed

Device Keeps Publishing Round After Round And Answers To Its Commands Topic
    Given A Device    subscribe_filters=${{['offchip/things/thing-1/commands']}}
    Power On
    Console Should Show    ^mqtt: subscribed filter=offchip/things/thing-1/commands qos=1
    Device Should Publish    offchip/feed    rounds=5
    Publish To The Device    offchip/things/thing-1/commands    hello
    Console Should Show    ^mqtt: message topic=offchip/things/thing-1/commands bytes=5
    Processor Should Have Accepted    thing-1    at_least=4

Device Connects Again After A Power Cycle
    Given A Device    scheme=plain    medium=sd
    Power On
    Device Should Publish    offchip/feed
    Power Cycle
    Console Should Show    ^boot: offchip .* reset=power-on
    Device Should Publish    offchip/feed
    Broker Should Have Sessions    thing-1    2

Device Notices That Its Case Is Opened
    Given A Device
    Power On
    Console Should Show    ^hall: closed
    Open The Case
    Console Should Show    ^hall: open

*** Keywords ***
Device Should Have Connected And Published
    Console Should Show    ^tls: connected version=TLSv1.3
    Console Should Show    ^mqtt: connected
    Device Should Publish    offchip/things/thing-1
    Device Should Publish    offchip/feed
    Processor Should Have Accepted    thing-1
