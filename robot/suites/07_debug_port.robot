# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Credentials in internal flash: what SWD yields at each level of readout protection (RM0090 3.7.3).
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}    seed=${SEED}

*** Test Cases ***
Level 0 Gives The Key To Anybody With A Probe
    [Tags]    A13
    Given A Device    rdp_level=0
    Power On
    Device Should Publish    offchip/feed
    Dump Through The Debug Port    flash
    Debug Port Should Have Given    flash
    Attacker Should Have The Device Key    flash
    Connect As The Device
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    flash is readable

Level 1 Refuses The Flash
    [Tags]    A13
    Given A Device    rdp_level=1
    Power On
    Device Should Publish    offchip/feed
    FOR    ${attempt}    IN RANGE    5
        Dump Through The Debug Port    flash
        Debug Port Should Have Refused    flash
        Power Cycle
        Let Time Pass    0.1
    END
    Attacker Should Not Have The Device Key
    Device Key Should Be In The Flash
    Verdict Should Be    held    flash is refused

Level 1 Leaves The Running Device's RAM Open
    [Tags]    A13
    Given A Device    rdp_level=1
    Power On
    Device Should Publish    offchip/feed
    Dump Through The Debug Port    ram
    Debug Port Should Have Given    sram
    Attacker Should Have The Device Key
    Verdict Should Be    broken    key and certificate lie in RAM while the device uses them

Going Back From Level 1 To 0 Erases The Flash First
    [Tags]    A14
    Given A Device    rdp_level=1
    Power On
    Device Should Publish    offchip/feed
    Power Off
    Lower The Readout Protection    level-0
    Dump Through The Debug Port    all
    Debug Port Should Have Given    flash
    Flash Should Be Erased
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    the chip erased itself

Level 2 Refuses Every Dump
    [Tags]    A13
    Given A Device    rdp_level=2
    Power On
    Device Should Publish    offchip/feed
    FOR    ${attempt}    IN RANGE    5
        Dump Through The Debug Port    all
        Debug Port Should Have Refused    flash
        Debug Port Should Have Refused    sram
        Debug Port Should Have Refused    ccm
        Power Cycle
        Let Time Pass    0.1
    END
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    the debug port is gone

Level 2 Can Neither Be Lowered Nor Erased Nor Written
    [Tags]    A14
    Given A Device    rdp_level=2
    Power On
    Device Should Publish    offchip/feed
    FOR    ${attempt}    IN RANGE    5
        Lower The Readout Protection    level-0
        Lower The Readout Protection    level-1
        Lower The Readout Protection    mass-erase
        Lower The Readout Protection    write-flash
        Lower The Readout Protection    write-ram
        Power Cycle
        Let Time Pass    0.1
    END
    Debug Port Should Have Refused To    set-rdp    times=10
    Debug Port Should Have Refused To    mass-erase    times=5
    Debug Port Should Have Refused To    write    times=10
    Readout Protection Should Be    2
    Device Key Should Be In The Flash
    Device Should Publish    offchip/feed
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    level 2 is final, over power cycles, too
