# SPDX-License-Identifier: Apache-2.0
"""Who watches, and who hopes for a fallback: what they get of the right firmware, and of a wrong one."""

from __future__ import annotations

import pytest

from offchip import vault
from offchip.attacks.fallback import PlantClearCredentials, Sealed
from offchip.attacks.leaks import CLOCK_HZ, ListenOnTheConsole, TimeTheTag, search_spelled
from offchip.attacks.loot import Loot
from offchip.pki import Authority
from tests.attack_play import Make


# A22 -----------------------------------------------------------------------------------------------------------------
def test_the_console_tells_no_key_even_when_everything_breaks(play: Make) -> None:
    live = play("fresh", vault.EEPROM)
    (evidence,) = live.fire(ListenOnTheConsole())
    assert b"mqtt: published" in evidence.received and evidence.received.count(b"storage: error record-forged") >= 3
    assert b"tls: refused" in evidence.received and not live.reach.loot.keys


@pytest.mark.parametrize("spelling", ["hex", "spaced", "pem", "scalar"])
def test_a_key_is_found_in_every_spelling(spelling: str) -> None:
    identity, loot = Authority("owner").issue_device("thing-1"), Loot()
    loot.search(identity.certificate_pem, "the registry's public page")
    scalar = identity.key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    told = {"hex": identity.key_der.hex().encode(), "spaced": identity.key_der.hex(" ").upper().encode(),
            "pem": identity.key_pem, "scalar": b"key=" + scalar.hex().encode()}[spelling]
    search_spelled(loot, b"boot: offchip\r\n" + told + b"\r\nnet: up\r\n", "usart1")
    assert [each.public_key for each in loot.keys] == [identity.certificate.public_key()]


def test_a_key_that_is_told_is_heard(play: Make) -> None:
    live = play("plain", vault.SD)
    identity = live.device.identity
    told = identity.key_der.hex().encode() + b"\r\n"
    live.device.board.on_slice.append(lambda now_ns: [live.device.board.console.feed(each, now_ns) for each in told]
                                      and None if not live.device.board.console.find("PRIVATE|[0-9a-fA-F ]{60}") else 0)
    live.fire(ListenOnTheConsole(provoke=False))
    assert live.found(identity)


# A25 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [vault.EEPROM], ids=str)  # the card has a cell of its own in each column
def test_the_comparison_does_not_tell_where(play: Make, kind: vault.MediumKind) -> None:
    """One that stops at the first difference does: tests/mutants, vault-tag-compared-until-it-differs."""
    live = play("labelled", kind)
    *_, compared = live.fire(TimeTheTag(kind))
    times = [int.from_bytes(compared.received[at:at + 8], "little") for at in range(0, 128, 8)]
    assert len(set(times)) == 1, compared.detail


# A24 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("scheme", "kind", "sealed"), [
    ("fresh", vault.SD, Sealed.GONE), ("fresh", vault.SD, Sealed.BROKEN), ("fresh", vault.EEPROM, Sealed.GONE),
    ("encrypted", vault.SD, Sealed.GONE)], ids=str)
def test_what_lies_there_in_clear_is_not_taken_for_sealed(play: Make, scheme: str, kind: vault.MediumKind,
                                                          sealed: Sealed) -> None:
    live = play(scheme, kind)
    evidence = live.fire(PlantClearCredentials(kind, sealed))
    assert live.reach.rogue is not None and not live.reach.rogue.visits and evidence[0].changed
    assert live.device.board.console.find("^storage: error ")


@pytest.mark.parametrize(("again", "counts"), [
    ([230, 230, 200], [200, 200, 200]),  # an interrupt fell elsewhere in the end
    ([230] * 12, [200, 230, 200]), ([240, 230] * 6, [200, 230, 200])])
def test_a_time_that_stands_out_is_taken_again(again: list[int], counts: list[int]) -> None:
    def trace(cycles: int) -> list[int]:
        return [0, 10, 20, 20 + round(cycles * 1e9 / CLOCK_HZ)]

    asked: list[int] = []

    def measured(number: int) -> list[int]:
        asked.append(number)
        return trace(again[len(asked) - 1])

    assert TimeTheTag._steadied([trace(200), trace(230), trace(200)], measured) == counts
    assert asked == [1] * len(again)
