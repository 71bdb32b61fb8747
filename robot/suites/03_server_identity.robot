# SPDX-License-Identifier: Apache-2.0
*** Settings ***
Documentation       The device talks to its own server only.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}
Test Template       Device Refuses The Server

*** Test Cases ***                                                  CERTIFICATE      MEDIUM    ATTACK    REASON           ALERT
Server Of Another Authority Is Refused                              untrusted        none      A17       untrusted-ca     48 unknown_ca
Server Of Another Authority Is Refused With Credentials On SD       untrusted        sd        A17       untrusted-ca     48 unknown_ca
Server Of Another Authority Is Refused With Credentials In EEPROM   untrusted        eeprom    A17       untrusted-ca     48 unknown_ca
Server With Another Host Name Is Refused                            wrong-host       none      A17       host-name        42 bad_certificate
Server With Another Host Name Is Refused With Credentials On SD     wrong-host       sd        A17       host-name        42 bad_certificate
Server With Another Host Name Is Refused With Credentials In EEPROM    wrong-host    eeprom    A17       host-name        42 bad_certificate
Server With An Expired Certificate Is Refused                       expired          none      A18       expired          45 certificate_expired
Server With An Expired Certificate Is Refused With Credentials On SD    expired      sd        A18       expired          45 certificate_expired
Server With An Expired Certificate Is Refused With Credentials In EEPROM    expired    eeprom    A18     expired          45 certificate_expired
Server With A Certificate From The Future Is Refused                not-yet-valid    none      A18       not-yet-valid    46 certificate_unknown

*** Keywords ***
Device Refuses The Server
    [Arguments]    ${certificate}    ${medium}    ${attack}    ${reason}    ${alert}
    ${scheme}=    Set Variable If    '${medium}' == 'none'    internal    plain
    Given A Device    scheme=${scheme}    medium=${medium}
    The Attack Is    ${attack}
    Use Server Certificate    ${certificate}
    Power On
    Console Should Show    ^tls: refused reason=${reason}
    Broker Should Have Received Alert    ${{int($alert.split()[0])}}    ${{$alert.split()[1]}}
    Device Should Wait With Reason    tls
    Broker Should Never Have Connected    thing-1
    Models Should Have No Complaints
    Verdict Should Be    held    the device ended the handshake before it sent anything of its own
