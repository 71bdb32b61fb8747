# SPDX-License-Identifier: Apache-2.0
"""Goals of somebody who changes or takes away what is stored, without wanting to read it."""

from __future__ import annotations

import re

from offchip.attacks.base import Attack
from offchip.attacks.medium import Change, ChangeRecord, Damage, DamageMedium
from offchip.broker.events import Connected
from offchip.report.record import Verdict
from offchip.scene.defence import Defence
from offchip.vault import SD
from OffchipLibrary.goals.base import Goal, Oracles, Outcome, Undecided, either, settle
from OffchipLibrary.goals.moving import first_words
from OffchipLibrary.goals.thorough import all_fields_tried
from OffchipLibrary.lab import Lab

_COMPLAINT = r"^(storage|credentials|vault): error "


class Sabotage(Goal):
    """What a device without its medium does: it must say so, live on and never use what is broken."""

    how: Damage

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (DamageMedium(defence.medium if defence.off_chip else SD, self.how),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        board = lab.board
        if self.how not in (Damage.OPEN, Damage.SHORT):  # a device at work notices when it next needs its medium
            board.power_cycle()
        settle(lab, failures=2)  # it lives on
        told = board.console.lines[lab.begun.lines:]
        boots = sum(line.text.startswith("boot: ") for line in told)
        complaints = [line for line in told if re.match(_COMPLAINT, line.text)]
        if not complaints or boots > 1:
            raise Undecided(f"the device started {boots} times and complained {len(complaints)} times of its medium")
        lab.saw(f"console {complaints[0].time_ns / 1e9:.3f} s: {complaints[0].text}")
        see.server.broker_should_have_sessions(lab.device.thing, self._sessions(lab))
        return Outcome(Verdict.DEGRADED, "the device is out of service, says why and lives on")

    @staticmethod
    def _sessions(lab: Lab) -> int:
        """Those from before the attack."""
        before = list(lab.scene.broker.events)[:lab.begun.events]
        return sum(isinstance(each, Connected) and each.client_id == lab.device.thing for each in before)


class Wipe(Sabotage):
    """Everything erased."""

    attack, variant, after, how = "A09", "wipe", "the device out of service: its medium erased", Damage.WIPE


class Noise(Sabotage):
    """Everything replaced by noise."""

    attack, variant, after, how = "A09", "noise", "the device out of service: its medium full of noise", Damage.NOISE


class Pull(Sabotage):
    """Out of its socket."""

    attack, variant, after, how = "A09", "pull", "the device out of service: its medium pulled", Damage.PULL


class Hold(Sabotage):
    """The medium's answers held open by a probe."""

    attack, variant, after, how = "A09", "open", "the device out of service: its medium's answers cut off", Damage.OPEN


class Short(Sabotage):
    """The card's output held low by a probe."""

    attack, variant, after, how = "A09", "short", "the device out of service: its card's output held low", Damage.SHORT


class Falsify(Goal):
    """A changed record was used when the device says its credentials are good while the medium holds other ones."""

    how: Change

    def attacks(self, defence: Defence) -> tuple[Attack, ...]:
        return (ChangeRecord(defence.medium if defence.off_chip else SD, self.how),)

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        settle(lab)
        before = sum(isinstance(each, Connected) and each.client_id == lab.device.thing
                     for each in list(lab.scene.broker.events)[:lab.begun.events])

        def noticed() -> None:
            see.store.device_should_have_refused_its_credentials()
            see.server.broker_should_have_sessions(lab.device.thing, before)

        def used() -> None:
            see.store.store_should_hold_a_false(self.how.chunk)
            see.store.device_should_have_taken_its_credentials()

        outcome = either(lab, (used, "the device takes what was changed and notices nothing"),
                         (noticed, "the device notices, says what is wrong, uses nothing of it and is out of service"))
        return outcome if outcome.verdict is Verdict.BROKEN else Outcome(Verdict.DEGRADED, outcome.reason)


class FlipTheKey(Falsify):
    """A bit inside the private key."""

    attack, variant, how = "A03", "flip-key", Change.FLIP
    after = "the device uses a private key of which one stored bit was inverted"


class FlipTheAnchor(Falsify):
    """A bit where nobody looks: the CA certificate's own signature."""

    attack, variant, how = "A03", "flip-anchor", Change.FLIP_ANCHOR
    after = "the device uses a CA certificate of which one stored bit was inverted"


class Truncate(Falsify):
    """Half of a record."""

    attack, variant, how = "A03", "truncate", Change.TRUNCATE
    after = "the device uses half a certificate"


class FlipEachField(Falsify):
    """One bit of everything in a record that says something: a field nobody authenticates is a way in."""

    attack, variant, how = "A03", "each-field", Change.EACH
    after = "the device takes its certificate's record although a bit of one of its fields was inverted"

    def measure(self, lab: Lab, see: Oracles) -> Outcome:
        tried = [each.detail.partition(";")[0] for each in lab.evidence() if each.action == "flip bit"]
        words = first_words(lab)
        if not tried or len(words) != len(tried):
            raise Undecided(f"{len(tried)} fields were changed, {len(words)} starts were seen")
        good = [name for name, word in zip(tried, words, strict=True) if word.startswith("credentials: ok")]
        lab.saw(f"console: of {len(tried)} changed fields {len(good)} were taken: {', '.join(good) or 'none'}")
        if good:
            return Outcome(Verdict.BROKEN, "the device takes a changed record and notices nothing")
        lab.saw(f"console: {sorted(set(words))[:4]}")
        all_fields_tried(lab)
        return Outcome(Verdict.DEGRADED, "the device notices a change in any field, and is out of service")
