# SPDX-License-Identifier: Apache-2.0
"""The lines of the console, SPEC.md section 6: whatever else the device says, nobody knows what it gives away."""

from __future__ import annotations

import re

_STORAGE = ("no-card|timeout|card-error|read-crc|no-filesystem|file-missing \\S+|file-too-large \\S+|eeprom-absent|"
            "eeprom-timeout|record-magic|record-crc|record-field \\d+|"
            "record-(?:missing|malformed|swapped|foreign|forged|stale) [a-z-]+|no-secret|rng|flash|memory")
_ENROLMENT = "issued|complete|error (?:rng|memory|mqtt|no-answer|rejected|bad-answer)"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_REASON = "[a-z-]{1,20}"

#: tag -> what may stand behind it
LINES = {
    "boot": r"offchip \d+\.\d+\.\d+ reset=(?:power-on|pin|software|watchdog|unknown)",
    "config": r"scheme=[a-z-]+ medium=[a-z]+ thing=\S+ endpoint=\S+:\d+|error (?:missing|version|crc|field \d+)",
    "rng": "ok|error (?:seed|clock|timeout|repetition|proportion)",
    "storage": rf"sd type=SD[SH]C blocks=\d+|eeprom bytes=\d+|error (?:{_STORAGE})",
    "vault": r"secret created|reset|(?:sealed|kept) chunk=[a-z-]+ version=\d+",
    "tamper": "told|erased",
    "credentials": "skipped anchor=[0-9a-f]{8}|"
                   "ok source=(?:internal|sd|eeprom|claim|issued) certificate=[0-9a-f]{8}|error "
                   "(?:certificate-malformed|key-malformed|anchor-malformed|key-mismatch)",
    "modem": f"ready|error {_REASON}",
    "clock": f"{_TIME} source=(?:sntp|rtc)|refused {_TIME} source=(?:sntp|rtc) floor={_TIME}|error no-time",
    "tls": r"connected version=TLSv1\.[23] suite=[A-Z0-9_]+|refused reason=(?:untrusted-ca|host-name|expired|"
           rf"not-yet-valid|bad-certificate|protocol)|alert \d+ [a-z_]+|error {_REASON}",
    "mqtt": r"connected|refused code=\d+|closed|published topic=\S+ seq=\d+ qos=[01]|subscribed filter=\S+ qos=[012]|"
            rf"message topic=\S* bytes=\d+|error {_REASON}",
    "enrolment": _ENROLMENT,
    "rotation": _ENROLMENT,
    "hall": "open|closed",
    "state": rf"waiting reason=[a-z]+ retry_ms=\d+|fault reason={_REASON}(?: pc=[0-9a-f]{{8}} cfsr=[0-9a-f]{{8}})?",
}
_KNOWN = {tag: re.compile(text) for tag, text in LINES.items()}
#: a reset does not let the line that was being sent come to its end, nor perhaps that of the start before
_START = "boot: offchip "
_BEGUN = re.compile(rf"[a-z]{{0,{max(map(len, LINES))}}}?(?:(?:{'|'.join(LINES)}): .*)?", re.DOTALL)


def is_specified(line: str) -> bool:
    """The line, without its end, is one of SPEC.md section 6, or what a reset or a cut has left of one and that of the
    start behind it.
    """
    begun, start, rest = line.rpartition(_START)
    if not _BEGUN.fullmatch(begun):
        return False
    if not line:
        return True
    tag, _, text = (start + rest).partition(": ")
    return tag in _KNOWN and _KNOWN[tag].fullmatch(text) is not None
