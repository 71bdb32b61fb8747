# SPDX-License-Identifier: Apache-2.0
"""A judged dump in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offchip.errors import OffchipError
from offchip.judge.find import Findings, FoundCertificate, FoundKey, search
from offchip.judge.image import Part, files_of, read_image
from offchip.judge.trial import Trial, try_identity

#: identities that are tried; a dump of a whole fleet has more
MOST_TRIALS = 4


@dataclass(frozen=True, slots=True)
class Judgement:
    """``refused``: identities that could not be tried, and why."""

    path: Path
    size: int
    files: int
    found: Findings
    trials: tuple[Trial, ...]
    refused: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """For a person."""
        volume = f", a FAT volume with {self.files} files" if self.files else ""
        yield f"{self.path}: {self.size} bytes{volume}"
        yield from self._secrets()
        yield from self._public()
        yield from _section("there, but locked", self.found.locked)
        yield from _section("not looked for", self.found.limits)
        yield from self._opened()
        yield ""
        yield self.verdict

    @property
    def verdict(self) -> str:
        """The last line."""
        found = self.found
        if not found.secrets:
            return ("no secret in clear was found here"
                    + ("; the certificates are public, alone they open nothing" if found.certificates else ""))
        names = ", ".join(sorted({trial.thing for trial in self.trials if trial.opened}))
        if names:
            return f"{_count(found.secrets, 'secret')} in clear: whoever holds this medium is {names}"
        if found.keys and not found.pairs():
            return (f"{_count(found.secrets, 'secret')} in clear: the key opens what its certificate opens, which is "
                    "public and not on this medium")
        return f"{_count(found.secrets, 'secret')} in clear"

    def record(self) -> dict[str, Any]:
        """For a program: no secret itself is in it."""
        found = self.found
        return {
            "image": self.path.name, "size": self.size, "files": self.files, "verdict": self.verdict,
            "keys": [{"kind": key.kind, "form": key.form, "place": key.place, "belongs_to": self._owner(key)}
                     for key in found.keys],
            "certificates": [{"name": each.name, "issuer": each.issuer, "authority": each.authority, "form": each.form,
                              "place": each.place} for each in found.certificates],
            "texts": [{"what": each.what, "place": each.place, "secret": each.secret,
                       "text": "" if each.secret else each.text} for each in found.texts],
            "locked": found.locked, "limits": found.limits, "trials": [asdict(trial) for trial in self.trials],
            "refused": list(self.refused),
        }

    def _secrets(self) -> Iterator[str]:
        yield from _section("secrets in clear", [
            *(f"{key.kind} as {key.form} in {key.place}: {self._owner(key) or 'no certificate of it is here'}"
              for key in self.found.keys),
            *(f"{each.what} in {each.place}: {_hidden(each.text)}" for each in self.found.texts if each.secret)])

    def _public(self) -> Iterator[str]:
        yield from _section("public, but telling", [
            *(_certificate(each) for each in self.found.certificates),
            *(f"{each.what} in {each.place}: {each.text}" for each in self.found.texts if not each.secret)])

    def _owner(self, key: FoundKey) -> str:
        names = [each.name for each in self.found.certificates if each.public == key.public]
        return f"the key of {', '.join(dict.fromkeys(names))}" if names else ""

    def _opened(self) -> Iterator[str]:
        for trial in self.trials:
            yield ""
            yield f"at a broker with AWS IoT Core's rules, as {trial.thing}, {trial.policy} policy:"
            for act in trial.acts:
                yield f"  {'yes' if act.done else 'no '}  {act.what}{': ' + act.told if act.told else ''}"
        yield from _section("not tried", self.refused)


def judge_image(path: Path) -> Judgement:
    """Search a dump and try what it gives away.

    Raises:
        MediumError: the file cannot be read as an image.
    """
    data = read_image(path)
    files = files_of(data)
    found = search([*files, Part("", data)])
    trials: list[Trial] = []
    refused: list[str] = []
    pairs = [(key, certificate) for key, certificate in found.pairs() if not certificate.authority]
    for key, certificate in pairs[:MOST_TRIALS]:
        try:
            trials += try_identity(key, certificate)
        except (OffchipError, ValueError) as error:
            refused.append(f"{certificate.name}: {error}")
    refused += [f"{certificate.name}: with this key of an authority anybody can issue devices and servers of his own"
                for _, certificate in found.pairs() if certificate.authority]
    refused += [f"{_count(len(pairs) - MOST_TRIALS, 'further identity', 'further identities')}"] * (
        len(pairs) > MOST_TRIALS)
    return Judgement(path, len(data), len(files), found, tuple(trials), tuple(refused))


def _certificate(each: FoundCertificate) -> str:
    what = "CA certificate" if each.authority else "certificate"
    end = each.certificate.not_valid_after_utc.date().isoformat()
    return f"{what} of {each.name}, issued by {each.issuer}, until {end}, as {each.form} in {each.place}"


def _section(title: str, lines: list[str] | tuple[str, ...]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _hidden(text: str) -> str:
    """Enough to recognise one's own."""
    return f"{text[:2]}{'*' * (len(text) - 2)} ({len(text)} characters)"


def _count(number: int, noun: str, many: str = "") -> str:
    return f"{number} {noun if number == 1 else many or noun + 's'}"
