# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       Credentials in internal flash: what SWD yields at each level of readout protection (RM0090 3.7.3).
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}
Test Tags           A13    CWE-1191

*** Test Cases ***
Level 0 Gives The Key To Anybody With A Probe
    Given A Device    rdp_level=0
    The Attack Is    A13
    Dump Through The Debug Port    flash
    Attacker Should Have The Device Key
    Connect As The Device    publish=offchip/feed
    Attacker Should Have Been Let In    offchip/feed
    Verdict Should Be    broken    flash is readable

Level 1 Refuses The Flash
    Given A Device    rdp_level=1
    The Attack Is    A13
    Power On
    Device Should Publish    offchip/feed
    Dump Through The Debug Port    flash
    Debug Port Should Have Refused    flash
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    flash is refused

Level 1 Leaves The Running Device's RAM Open
    Given A Device    rdp_level=1
    The Attack Is    A13
    Power On
    Device Should Publish    offchip/feed
    Dump Through The Debug Port    sram
    Dump Through The Debug Port    ccm
    Debug Port Should Have Given    sram
    Attacker Should Have The Device Key
    Verdict Should Be    broken    the key lies in RAM while the device uses it

Going Back From Level 1 To 0 Erases The Flash First
    [Tags]    A14
    Given A Device    rdp_level=1
    The Attack Is    A14
    Lower The Readout Protection    0
    Dump Through The Debug Port    flash
    Debug Port Should Have Given    flash
    Flash Should Be Erased
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    the chip erased itself

Level 2 Refuses Everything For Ever
    Given A Device    rdp_level=2
    The Attack Is    A13
    Power On
    Device Should Publish    offchip/feed
    Dump Everything Through The Debug Port
    Lower The Readout Protection    0
    Debug Port Should Have Refused    flash
    Debug Port Should Have Refused    sram
    Readout Protection Should Be    2
    Attacker Should Not Have The Device Key
    Verdict Should Be    held    the debug port is gone
