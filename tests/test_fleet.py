# SPDX-License-Identifier: Apache-2.0
"""A small fleet of which one device is cloned, one rolled back, one stolen; 'offchip fleet' has fifty."""

from __future__ import annotations

import pytest

from offchip.broker.reactions import Rules
from offchip.errors import OffchipError
from offchip.fleet import Outcome, Plan, play
from offchip.fleet.story import RULES, _Fleet


@pytest.mark.timeout(1800)  # a minute of CPU; how long that takes is the host's affair
def test_exactly_the_three_are_out_and_nobody_else_lost_a_thing() -> None:
    outcome = play(Plan(devices=6, real=3))
    assert outcome.held and outcome.out == ["thing-01", "thing-02", "thing-03"] and outcome.lost == {}
    assert [(each.kind, each.rule) for each in outcome.attacks] == [
        ("cloned", "sequences"), ("rolled back", "retired"), ("stolen", "forbidden")]
    assert all(each.detected_after_s is not None and each.detected_after_s < 10 and each.evidence
               for each in outcome.attacks)
    assert all(outcome.packets[f"thing-{number:02}"] >= 5 for number in (4, 5, 6))


def test_what_does_not_count_as_held() -> None:
    """One more is out, one of them is not, or a lawful device lost something."""
    attacks = _Fleet(Plan(devices=4, real=3), lambda line: None, RULES).attacks
    names = [each.thing for each in attacks]
    for out, lost, held in ((names, {}, True), ([*names, "thing-04"], {}, False), (names[1:], {}, False),
                            (names, {"thing-04": "its session is gone"}, False)):
        assert Outcome(Plan(), attacks, out, lost, {}, 1.0).held is held


def test_a_lawful_device_that_suffers_is_seen() -> None:
    fleet = _Fleet(Plan(devices=5, real=3), lambda line: None, Rules())
    for peer in fleet.peers:
        peer.start(fleet.scene.broker, 0.0)
    fleet._for(5.0)
    assert fleet._lost("thing-04") == fleet._lost("thing-05") == ""
    fleet.peers[0].seq += 1  # a packet that never came
    fleet._for(3.0)
    assert "missing" in fleet._lost("thing-04")
    fleet.peers[1].client.drop()
    assert fleet._lost("thing-05") == "its session is gone"
    fleet.close()


def test_a_fleet_there_cannot_be() -> None:
    with pytest.raises(OffchipError, match="3 or more"):
        Plan(devices=5, real=2)
