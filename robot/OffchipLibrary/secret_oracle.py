# SPDX-License-Identifier: Apache-2.0
"""Where secrets must not be: on no console or modem's line, at no server, on no bus or medium the scheme forbids."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from robot.api.deco import keyword
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from offchip import chip_map
from offchip.attacks.wire import rebuild
from offchip.broker.events import Event
from offchip.scene.secrets import Secret, find
from offchip.scene.seeds import chip_noise
from offchip.vault import EEPROM, SD
from OffchipLibrary.device_oracle import DeviceOracleKeywords
from OffchipLibrary.lab import Lab

_MEMORY = {"SRAM": chip_map.SRAM, "CCM": chip_map.CCM}
_CHIP = {"flash": chip_map.DATA, **_MEMORY, "backup SRAM": chip_map.BACKUP_SRAM}
#: a wait during which there is time to look
_LONG_ENOUGH_MS, _WAITS, _WAIT_S = 50, 8, 120
#: words of a random generator in which what a device made of them is looked for
_NOISE_WORDS = 40_000
#: a quoted text of ESP-AT has a backslash before these
_QUOTED, _ESCAPED = re.compile(r'([",\\])'), r"\\\1"


def _noise(seed: int, words: int) -> bytes:
    """What the models of the generator say (splitmix64, the upper halves), as the device reads it."""
    found = bytearray()
    for n in range(1, words + 1):
        z = (seed + n * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        found += ((z ^ z >> 31) >> 32).to_bytes(4, "little")
    return bytes(found)


class SecretOracleKeywords:
    """Judging only, by the owner's knowledge of every key and passphrase of the scene."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._known: list[Secret] | None = None  # while nothing runs and nobody touches a medium

    @property
    def _secrets(self) -> list[Secret]:
        return self.lab.scene.secrets() if self._known is None else self._known

    @keyword(tags=("oracle",))
    def console_should_have_shown_no_secret(self) -> None:
        """No private key, device secret or passphrase came out of the console: raw, in hexadecimal, base64, or a part.
        """
        for device in self.lab.scene.devices:
            self._search(bytes(device.board.console.raw), f"the console of {device.thing} showed")
        self.lab.saw("no secret on the console")

    @keyword(tags=("oracle",))
    def modem_line_should_have_carried_no_secret(self) -> None:
        """No private key, device secret or passphrase crossed the line between chip and modem, either way.

        One exception, by the byte: in the command that joins the device's own network, ``AT+CWJAP="ssid","passphrase"``
        at the start of a line, the passphrase may stand in its place. In what is sent into the network it may not.
        """
        for device in self.lab.scene.devices:
            board, given = device.board, device.provisioning
            for line in (board.said_to_modem, board.said_by_modem):
                self._search(_without_join(bytes(line), given.wifi_ssid, given.wifi_passphrase),
                             f"the modem's line of {device.thing} carried")
            if board.modem is not None:
                self._search(bytes(board.modem.payloads), f"into the network {device.thing} sent")
        self.lab.saw("no secret on the modem's line, but the passphrase where the network is joined")

    @keyword(tags=("oracle",))
    def servers_should_have_been_told_no_secret(self) -> None:
        """Behind TLS, too: no client id, topic or payload at the broker or the attacker's server holds one."""
        self._search(_told(self.lab.scene.broker.events), "the broker was told")
        for visit in self.lab.rogue.visits if self.lab.rogue else []:
            told = [visit.client.encode(), *(part for topic, text in visit.messages for part in (topic.encode(), text))]
            self._search(b"\0".join(told), "the attacker's server was told")
        self.lab.saw("no secret told to a server")

    @keyword(tags=("oracle",))
    def secrets_should_be_only_where_the_scheme_puts_them(self) -> None:
        """No medium, and no bus that was recorded, holds a secret in clear against the scheme.

        A scheme may put the device's private key on its medium, never a device secret, a passphrase or the CA's key.
        """
        defence = self.lab.device.defence
        for kind, bus in ((SD, "spi1"), (EEPROM, "i2c1")):
            # a medium may have come over from another device of the scene
            allowed = {words.format(each.thing) for each in self.lab.scene.devices if each.defence.clear_on(kind)
                       for words in ("the private key of {}", "the private key {} made")}
            secrets = [each for each in self._secrets if each.name not in allowed]
            crossed = [each.data for each in rebuild(self.lab.heard(kind))]
            seen = [each.received for each in self.lab.record.fired if each.place.startswith(bus)]
            for where, contents in ((f"the {kind.name} bus", [*crossed, *seen]),
                                    (f"the {kind.name} medium", [self.lab.medium(kind).image])):
                found = [sentence for content in contents for sentence in find(secrets, content)]
                if found:
                    raise AssertionError(f"on {where} lies {found[0]}; {defence.scheme.name} forbids it")
        self.lab.saw("no secret on a medium or bus that may not have it")

    @keyword(tags=("oracle",))
    def memory_should_hold_no_key_while_the_device_waits(self) -> None:
        """With no network, each connection ends; while the device then waits for the next, neither SRAM nor CCM nor the
        backup registers hold a private key, the device secret or a key made of it: DER, PEM or numbers, whole or eight
        bytes of it.

        Whatever the device did before is done with by then: first boot, handshake, rotation, reset, enrolment.
        """
        board = self.lab.board
        assert board.modem is not None
        board.modem.network_up = False
        for _ in range(_WAITS):
            said = board.console.wait_for("^state: waiting .*retry_ms=", _WAIT_S).line.text
            if int(said.rpartition("=")[2]) >= _LONG_ENOUGH_MS:
                break
        else:
            raise AssertionError(f"none of {_WAITS} waits was long enough to look around in")
        self._find_keys(self.lab.keys(), _MEMORY)
        board.modem.network_up = True
        self.lab.saw("no key in SRAM or CCM while the device waits")

    @keyword(tags=("oracle",))
    def nothing_that_was_given_up_should_be_left(self, called: str = "") -> None:
        """Of the device's own keys and the secret that `Note What Is Secret` has seen, none is on the chip or a medium.

        ``called``: only what is called so was given up, as the private key by a rotation, which keeps the secret. A
        claim's key stays: a device needs it to come back.
        """
        own = [each for each in self.lab.noted
               if called in each.name and "claim" not in each.name and "CA key" not in each.name]
        if not own:
            raise AssertionError("nothing was noted that could be given up")
        self._find_keys_anywhere(own)
        self.lab.saw("nothing that was given up is left on the chip or a medium")

    @keyword(tags=("oracle",))
    def what_the_device_made_should_be_noise(self) -> None:
        """Device secret and private key, where the factory gave none, are 256 bits in a row of what the chip's random
        generator says: neither shared nor guessed, and not fewer bits than they seem."""
        device = self.lab.device
        injected = device.provisioning.chip(b"")
        made = [("device secret", each) for each in device.secrets() if injected is None or each != injected.secret]
        own = device.kept()
        if own is not None and own.key_pem != device.identity.key_pem:
            assert isinstance(own.key, EllipticCurvePrivateKey)
            made.append(("private key", own.key.private_numbers().private_value.to_bytes(32, "big")))
        if not made:
            raise AssertionError("the device has made neither a secret nor a key")
        noise = _noise(chip_noise(self.lab.scene.seed, self.lab.scene.devices.index(device)), _NOISE_WORDS)
        if other := [name for name, value in made if value not in noise]:
            raise AssertionError(f"of what the random generator said the {' and the '.join(other)} is no part")
        self.lab.saw(f"the random generator's own words: {', '.join(name for name, _ in made)}")

    @keyword(tags=("oracle",))
    def no_key_should_be_left_anywhere(self) -> None:
        """Nothing on the chip (data sectors of the flash, SRAM, CCM, what a battery keeps) and on a medium holds a key:
        neither one that is there now nor one that `Note What Is Secret` has seen."""
        self._find_keys_anywhere(self.lab.keys())
        self.lab.saw("no key on the chip or a medium")

    def chip_should_hold_no_key(self) -> None:
        """The chip's part of `No Key Should Be Left Anywhere`."""
        self._find_keys(self.lab.keys(), _CHIP)

    def _find_keys_anywhere(self, keys: list[Secret]) -> None:
        self._find_keys(keys, _CHIP)
        for kind in (SD, EEPROM):
            self._search(self.lab.medium(kind).image, f"on the {kind.name} medium lies", keys)

    def _find_keys(self, keys: list[Secret], places: Mapping[str, chip_map.Region]) -> None:
        for name, region in places.items():
            self._search(self.lab.board.engine.read_memory(region.start, region.size), f"in {name} lies", keys)
        self._search(self.lab.board.backup_registers(), "in the backup registers lies", keys)

    def _search(self, data: bytes, words: str, secrets: list[Secret] | None = None) -> None:
        found = find(self._secrets if secrets is None else secrets, data)
        if found:
            raise AssertionError(f"{words} {', '.join(found)}")

    @keyword(tags=("oracle",))
    def the_run_should_be_clean(self, passed: bool | None = None) -> None:
        """What is true of every test; the library runs it as each test's teardown.

        No complaint of a model, no secret on a console or a modem's line or told to a server, none on a bus or medium
        where the scheme forbids it, every back-off kept, and a verdict where the test is tagged with an attack.
        ``passed``: the test's body did (default: as Robot says now).
        """
        lab = self.lab
        if lab.problem:
            raise AssertionError(lab.problem)
        if lab.has_device:
            self.nothing_should_be_wrong_besides()
        if (_passed() if passed is None else passed) and lab.record.attack and lab.record.verdict is None:
            raise AssertionError(f"the test is about {lab.record.attack} and has no verdict")

    def nothing_should_be_wrong_besides(self, leaks: bool = True) -> None:
        """What is true of every test with a device, whatever its verdict.

        ``leaks``: no secret is where it must not be; False: the verdict itself says that one is.
        """
        device = DeviceOracleKeywords(self.lab)
        device.models_should_have_no_complaints()
        device.device_should_have_kept_its_back_off()
        if leaks:
            self._nothing_should_have_leaked()
            device.console_should_have_said_only_what_is_specified()

    def _nothing_should_have_leaked(self) -> None:
        self._known = self.lab.scene.secrets()
        try:
            self.console_should_have_shown_no_secret()
            self.modem_line_should_have_carried_no_secret()
            self.servers_should_have_been_told_no_secret()
            self.secrets_should_be_only_where_the_scheme_puts_them()
        finally:
            self._known = None


def _without_join(line: bytes, ssid: str, passphrase: str) -> bytes:
    """The line without the passphrase, or what a cut left of it, where the command that joins ``ssid`` has it."""
    head = f'AT+CWJAP="{_QUOTED.sub(_ESCAPED, ssid)}","'.encode()
    value = _QUOTED.sub(_ESCAPED, passphrase).encode()
    first, *rest = re.split(rb"(?:^|(?<=\n))" + re.escape(head), line)
    return head.join([first, *(part[len(os.path.commonprefix([part, value])):] for part in rest)])


def _told(log: Iterable[Event]) -> bytes:
    values = [getattr(event, field.name) for event in log for field in fields(event)]
    return b"\0".join(value if isinstance(value, bytes) else value.encode()
                      for value in values if isinstance(value, bytes | str))


def _passed() -> bool:
    """The test's body did; True outside Robot."""
    try:
        return bool(BuiltIn().get_variable_value("${TEST STATUS}", "PASS") == "PASS")
    except RobotNotRunningError:
        return True
