*** Settings ***
Documentation       Two topics to publish on and one to listen to; anything else ends the session at once.
Library             OffchipLibrary    engine=${ENGINE}    elf=${ELF}    records=${RECORDS}

*** Test Cases ***
Third Topic Ends The Session At Once
    Given A Device    publish_topics=${{['offchip/things/thing-1', 'offchip/feed', 'offchip/third']}}
    The Attack Is    A21
    Power On
    Device Should Publish    offchip/feed
    Let The Device Publish On    offchip/third
    Broker Should Have Forbidden Publishing    offchip/third
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Console Should Show    ^mqtt: (closed|error)
    Models Should Have No Complaints
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS

Topic Of Another Thing Ends The Session At Once
    Given A Device    publish_topics=${{['offchip/things/thing-2']}}
    The Attack Is    A21
    Power On
    Let The Device Publish On    offchip/things/thing-2
    Broker Should Have Forbidden Publishing    offchip/things/thing-2
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS

Forbidden Subscription Ends The Session At Once
    Given A Device    subscribe_filters=${{['offchip/things/#']}}
    The Attack Is    A21
    Power On
    Let The Device Subscribe To    offchip/things/#
    Broker Should Have Forbidden Subscribing    offchip/things/#
    Broker Should Have Disconnected    thing-1    FORBIDDEN_ACCESS
    Verdict Should Be    held    disconnected with FORBIDDEN_ACCESS
