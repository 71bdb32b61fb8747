# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Credentials in clear on a medium anyone can reach: what an exploiter gets.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Who Reads The SD Card Is The Device
    [Tags]    A01
    Reader Of The Medium Is The Device    sd

Who Reads The EEPROM Is The Device
    [Tags]    A01
    Reader Of The Medium Is The Device    eeprom

Stolen Key Evicts The Genuine Device
    [Tags]    A08
    Given A Device    scheme=plain    medium=sd
    Device Publishes And Its Medium Is Read    sd
    Connect As The Device    offchip/feed    careless
    Attacker Should Have Been Let In    offchip/feed
    Broker Should Have Disconnected    thing-1    DUPLICATE_CLIENTID
    Processor Should Have Counted Rogue Packets
    Verdict Should Be    broken    the clone took the session over; only its careless data was noticed

Plausible Data Of A Stolen Key Is Believed
    [Tags]    A08
    Given A Device    scheme=plain    medium=eeprom
    Device Publishes And Its Medium Is Read    eeprom
    Let Time Pass    1.5
    Connect As The Device    offchip/feed    plausible
    Attacker Should Have Been Let In    offchip/feed
    Processor Should Have Believed The Forgery
    Verdict Should Be    broken    data that looks right is taken as the device's, nobody notices

Stolen Key Is Useless After Deactivation
    [Tags]    A19
    Given A Device    scheme=plain    medium=sd
    Device Publishes And Its Medium Is Read    sd
    Deactivate The Device Certificate
    FOR    ${attempt}    IN RANGE    5
        Return After Deactivation    thief
        Broker Should Have Refused The Certificate    INACTIVE
    END
    Broker Should Have Sessions    thing-1    1
    Verdict Should Be    held    deactivation stops the thief, and the device with him

Stolen Key Cannot Leave The Policy
    [Tags]    A21
    Given A Device    scheme=plain    medium=eeprom
    Device Publishes And Its Medium Is Read    eeprom
    FOR    ${attempt}    IN RANGE    5
        Exceed The Rights    thief    publish=offchip/things/thing-2
    END
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS    times=5
    Broker Should Have Forbidden Publishing    offchip/things/thing-2    times=5
    Verdict Should Be    held    the thief gets the device's rights, not more

Replaced CA On The SD Card Leads The Device To A Rogue Broker
    [Tags]    A04
    Replaced CA Leads To The Rogue    sd

Replaced CA In The EEPROM Leads The Device To A Rogue Broker
    [Tags]    A04
    Replaced CA Leads To The Rogue    eeprom

Spoofed Name Alone Does Not Reach A Device With Its Own CA
    [Tags]    A17
    Given A Device    scheme=plain    medium=sd
    Impersonate The Server    untrusted
    Rogue Is Refused    without its CA the rogue gets no session

CA Planted On An SD Card Is Not Believed With Internal Credentials
    [Tags]    A04
    Given A Device    scheme=internal
    Replace The Trust Anchor    sd
    Rogue Is Refused    nothing on a medium decides whom the device trusts

CA Planted In The EEPROM Is Not Believed With Internal Credentials
    [Tags]    A04
    Given A Device    scheme=internal
    Replace The Trust Anchor    eeprom
    Rogue Is Refused    nothing on a medium decides whom the device trusts

CA Planted On An SD Card Is Not Believed With Credentials In The EEPROM
    [Tags]    A04
    Given A Device    scheme=plain    medium=eeprom
    Replace The Trust Anchor    sd
    Rogue Is Refused    the device asks no medium but its own

CA Replaced On The SPI Bus Is Noticed When The Checksum Is Left Wrong
    [Tags]    A10
    Clumsy Interposer Is Noticed    sd    read-crc

CA Replaced On The I2C Bus Is Noticed When The Checksum Is Left Wrong
    [Tags]    A10
    Clumsy Interposer Is Noticed    eeprom    record-crc

CA Replaced On The SPI Bus Leads The Device To A Rogue Broker
    [Tags]    A10
    Careful Interposer Gets The Data    sd

CA Replaced On The I2C Bus Behind A Genuine First Read Leads The Device To A Rogue Broker
    [Tags]    A10
    Careful Interposer Gets The Data    eeprom

Key Crosses The SPI Bus In Clear While Booting
    [Tags]    A02
    Sniffer Finds The Key    sd    spi1

Key Crosses The I2C Bus In Clear While Booting
    [Tags]    A02
    Sniffer Finds The Key    eeprom    i2c1

Nothing Of The Key Is On Buses Or Media With Internal Credentials
    [Tags]    A01
    Given A Device    scheme=internal
    Power On
    Device Should Publish    offchip/feed
    Read The Medium    sd
    Read The Medium    eeprom
    Attacker Should Not Have The Device Key
    Secrets Should Be Only Where The Scheme Puts Them
    Verdict Should Be    held    neither buses nor media carry anything of the key

*** Keywords ***
Device Publishes And Its Medium Is Read
    [Arguments]    ${medium}
    Power On
    Device Should Publish    offchip/feed
    Read The Medium    ${medium}

Reader Of The Medium Is The Device
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    Device Publishes And Its Medium Is Read    ${medium}
    Attacker Should Have The Device Key
    Connect As The Device
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    the key lies in clear; its reader is the device

Replaced CA Leads To The Rogue
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    Replace The Trust Anchor    ${medium}
    Rogue Gets The Data    the device trusts whatever CA lies on the medium

Clumsy Interposer Is Noticed
    [Arguments]    ${medium}    ${complaint}
    Given A Device    scheme=plain    medium=${medium}
    Replace The Trust Anchor On The Bus    medium=${medium}    repair_crc=no
    Device Should Fail Every Attempt    ^storage: error ${complaint}
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    a checksum stops who does not put it right, and nobody else

Careful Interposer Gets The Data
    [Arguments]    ${medium}
    Given A Device    scheme=plain    medium=${medium}
    Replace The Trust Anchor On The Bus    medium=${medium}    repair_crc=yes
    Rogue Gets The Data    the medium was never touched; its bus was

Rogue Gets The Data
    [Arguments]    ${reason}
    Console Should Show    ^mqtt: published
    Rogue Should Have Received Device Data
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    broken    ${reason}

Rogue Is Refused
    [Arguments]    ${reason}
    Device Should Fail Every Attempt    ^tls: refused reason=untrusted-ca
    Rogue Should Have Got Nothing    calls=5    alert=48
    Broker Should Never Have Connected    thing-1
    Verdict Should Be    held    ${reason}

Sniffer Finds The Key
    [Arguments]    ${medium}    ${bus}
    Given A Device    scheme=plain    medium=${medium}
    Sniff The Buses While Booting
    Console Should Show    ^credentials: ok
    Attacker Should Have The Device Key    ${bus}
    Connect As The Device
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    the bus carries the key in clear
