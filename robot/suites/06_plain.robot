# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Credentials in clear on a medium anyone can reach: what an exploiter gets.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}

*** Test Cases ***
Who Reads The SD Card Is The Device
    [Tags]    A01    CWE-312    CWE-522
    Reader Of The Medium Is The Device    sd

Who Reads The EEPROM Is The Device
    [Tags]    A01    CWE-312    CWE-522
    Reader Of The Medium Is The Device    eeprom

Stolen Key Evicts The Genuine Device
    [Tags]    A08    CWE-522
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A08
    Power On
    Device Should Publish    offchip/feed
    Read The Credentials From    sd
    Connect As The Device    publish=offchip/feed    payload={"thing":"thing-1","seq":1,"time":1,"temperature":99}
    Attacker Should Have Been Let In    offchip/feed
    Broker Should Have Disconnected    thing-1    DUPLICATE_CLIENTID
    Processor Should Have Counted Rogue Packets
    Verdict Should Be    broken    the clone took the session over; only the processor noticed its data

Stolen Key Is Useless After Deactivation
    [Tags]    A19
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A19
    Read The Credentials From    sd
    Deactivate The Device Certificate
    Connect As The Device    publish=offchip/feed
    Broker Should Have Refused The Certificate    INACTIVE
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    deactivation stops the thief, and the device with him

Stolen Key Cannot Leave The Policy
    [Tags]    A21    CWE-284
    Given A Device    scheme=plain    medium=eeprom
    The Attack Is    A21
    Read The Credentials From    eeprom
    Connect As The Device    publish=offchip/things/thing-2
    Broker Should Have Forbidden Publishing    offchip/things/thing-2
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Verdict Should Be    held    the thief gets the device's rights, not more

Replaced CA On The SD Card Leads The Device To A Rogue Broker
    [Tags]    A04    CWE-295
    Replaced CA Leads To The Rogue    sd

Replaced CA In The EEPROM Leads The Device To A Rogue Broker
    [Tags]    A04    CWE-295
    Replaced CA Leads To The Rogue    eeprom

Spoofed Name Alone Does Not Reach A Device With Its Own CA
    [Tags]    A17    CWE-295
    Given A Device    scheme=plain    medium=sd
    The Attack Is    A17
    Lead The Name To A Rogue Broker
    Power On
    Console Should Show    ^tls: refused reason=untrusted-ca
    Rogue Should Have Got Nothing
    Verdict Should Be    held    without its CA the rogue gets no session

CA In Internal Flash Cannot Be Replaced On A Medium
    [Tags]    A04    CWE-295
    Given A Device    scheme=internal
    The Attack Is    A04
    Lead The Name To A Rogue Broker
    Power On
    Console Should Show    ^tls: refused reason=untrusted-ca
    Rogue Should Have Got Nothing
    Verdict Should Be    held    nothing on a medium decides whom the device trusts

Key Crosses The SPI Bus In Clear While Booting
    [Tags]    A02    CWE-319
    Sniffer Finds The Key    sd

Key Crosses The I2C Bus In Clear While Booting
    [Tags]    A02    CWE-319
    Sniffer Finds The Key    eeprom

Nothing Of The Key Is On Buses Or Media With Internal Credentials
    [Tags]    A01    A02    CWE-319
    Given A Device    scheme=internal
    The Attack Is    A01    A02
    Clip Probes On The Buses
    Power On
    Device Should Publish    offchip/feed
    Search The Recorded Traffic
    Read The Credentials From    sd
    Read The Credentials From    eeprom
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    neither buses nor media carry anything of the key

*** Keywords ***
Reader Of The Medium Is The Device
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    The Attack Is    A01
    Read The Credentials From    ${medium}
    Attacker Should Have The Device Key
    Connect As The Device    publish=offchip/feed
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    the key lies in clear; its reader is the device

Replaced CA Leads To The Rogue
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    The Attack Is    A04
    Replace The Trust Anchor On    ${medium}
    Lead The Name To A Rogue Broker
    Power On
    Console Should Show    ^mqtt: published
    Rogue Should Have Received Device Data
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    broken    the device trusts whatever CA lies on the medium

Sniffer Finds The Key
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    The Attack Is    A02
    Clip Probes On The Buses
    Power On
    Console Should Show    ^credentials: ok
    Search The Recorded Traffic
    Attacker Should Have The Device Key
    Connect As The Device    publish=offchip/feed
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    the bus carries the key in clear
