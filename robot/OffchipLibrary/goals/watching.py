# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who only watches: the console, the clock."""

from __future__ import annotations

from offchip.attacks.base import Attack
from offchip.attacks.leaks import ListenOnTheConsole, TimeTheTag
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.scene.secrets import find
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, either, passes
from OffchipLibrary.goals.dissection import has_the_key
from OffchipLibrary.goals.moving import kept_on
from OffchipLibrary.lab import Lab


class Console(Goal):
    """A secret comes out of the console."""

    attack, variant, after = "A22", "console", "a secret, from the console while all goes well and while things break"
    seeks_secrets = True

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ListenOnTheConsole(),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        def nothing() -> None:
            see.secrets.console_should_have_shown_no_secret()
            heard, said = lab.evidence()[-1].received, bytes(lab.board.console.raw)
            if b"boot: " not in heard or not said.endswith(heard):
                raise AssertionError(f"what was heard is no whole start of the device: {heard[:40]!r}")
            stored = b"storage: error" in heard or b"credentials: error" in heard
            if b"tls: refused" not in heard or (lab.device.defence.off_chip and not stored):
                raise AssertionError("the device was not made to talk: it never refused a server, or nothing stored")
            lab.saw(f"{len(heard)} bytes of the console were heard, {heard.count(b'boot: ')} starts")

        def told() -> None:
            found = find(lab.scene.secrets(), lab.evidence()[-1].received)
            if not found:
                raise AssertionError("no secret of the scene is in what was heard")
            lab.saw(f"the console told {found[0]}")

        if not passes(lab, lambda: has_the_key(lab)):
            return Outcome(Verdict.BROKEN, "the console tells the private key")
        return either(lab, (told, "the console tells a secret"),
                      (nothing, "the console tells no secret"))


class TagTiming(Goal):
    """The time of a refusal depends on where a tag is wrong."""

    attack, variant = "A25", "timing"
    after = "a tag guessed byte by byte, from the time the device takes to refuse a wrong one"

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (TimeTheTag(kept_on(defence)),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        counts = lab.evidence()[-1].received
        times = [int.from_bytes(counts[at:at + 8], "little") for at in range(0, len(counts), 8)]
        spoilt = {each.place for each in lab.evidence() if each.action == "spoil a byte of the tag"}
        forged = len(lab.board.console.find("^storage: error record-forged"))

        def differ() -> None:
            if len(set(times)) < 2:
                raise AssertionError("all alike")
            lab.saw(f"instructions until the refusal: {times}")

        def alike() -> None:
            if len(times) != 16 or len(set(times)) != 1 or forged < len(times):
                raise AssertionError(f"{len(times)} times, {len(set(times))} different, {forged} refusals")
            if len(spoilt) != len(times):
                raise AssertionError(f"{len(spoilt)} bytes of the tag were spoilt, not {len(times)}: where it is "
                                     "compared no more, no time is told")
            lab.saw(f"{times[0]} instructions in each of {len(times)} refusals")

        return either(lab, (differ, "the comparison tells where it stopped"),
                      (alike, "each wrong tag takes the same number of instructions"))
