# SPDX-License-Identifier: Apache-2.0
"""``offchip lab``: a device and its broker on a TCP port; ``offchip lab deactivate thing-1`` while it runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offchip.cli.terminal import console
from offchip.errors import OffchipError
from offchip.interrupt import Interrupt
from offchip.paths import CACHE, FIRMWARE

if TYPE_CHECKING:
    from offchip.broker.reactions import Rules
    from offchip.lab.live import LiveLab
    from offchip.lab.window import Remote

app = typer.Typer(invoke_without_command=True, no_args_is_help=False,
                  help="Keep a device publishing to a broker on a real TCP port; rule over it from a second terminal.")
policy = typer.Typer(no_args_is_help=True, help="Policies of the running lab.")
app.add_typer(policy, name="policy")

_DEFAULT = CACHE / "lab"
_Folder = Annotated[Path | None, typer.Option("--folder", help="of the running lab")]
_Name = Annotated[str, typer.Argument(help="a thing, or the first 8 digits or more of a certificate's id")]


@app.callback()
def lab(
    context: typer.Context,
    scheme: Annotated[str, typer.Option(help="how it keeps its credentials: offchip list schemes")] = "internal",
    medium: Annotated[str, typer.Option(help="none, sd or eeprom")] = "none",
    port: Annotated[int, typer.Option(help="TCP port of the broker on 127.0.0.1, 0 for any")] = 8883,
    page_port: Annotated[int, typer.Option(help="TCP port of the page on 127.0.0.1, 0 for any")] = 0,
    seconds: Annotated[float | None, typer.Option(help="stop after so many seconds (default: Ctrl-C)")] = None,
    folder: Annotated[Path, typer.Option(help="where the certificates go")] = _DEFAULT,
    state: Annotated[Path | None, typer.Option(help="SQLite file: go on from it if it is there, and keep it")] = None,
    no_device: Annotated[bool, typer.Option("--no-device", help="bring your own; says what to flash")] = False,
    react: Annotated[str, typer.Option(help="what the owner bans for: forbidden,rogue,takeovers,shared,sequences,lid,"
                                            "owner_signed,retired or all")] = "",
    engine: Annotated[str, typer.Option(help="embedded, renode or auto")] = "embedded",
    elf: Annotated[Path, typer.Option(help="the firmware")] = FIRMWARE,
    keylog: Annotated[Path | None, typer.Option(help="write TLS keys here (NSS format, for Wireshark)")] = None,
    sd: Annotated[Path | None, typer.Option(help="image for the SD card instead of the factory's")] = None,
    eeprom: Annotated[Path | None, typer.Option(help="image for the EEPROM instead of the factory's")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM the broker shows, with --key")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM private key of --certificate")] = None,
    profile: Annotated[str, typer.Option(help="aws-2026, aws-2018 or a TOML file: the broker's rules")] = "aws-2026",
) -> None:
    """Keep a device publishing to a broker on a real TCP port, for mosquitto_sub, openssl s_client and curiosity."""
    context.obj = folder
    if context.invoked_subcommand:
        return
    from offchip import vault
    from offchip.board.images import load_images
    from offchip.lab.live import LiveLab, Options

    options = Options(folder, keylog, (certificate, key), profile, state, _rules(react), no_device)
    device = None if no_device else (engine, elf, vault.scheme(scheme), vault.medium(medium))
    with Interrupt() as stop:
        live = LiveLab(options, device, port, page_port)
        try:
            if live.board:
                load_images(live.board, sd, eeprom)
            _look_at(live, stop, seconds)
        finally:
            live.close()
        if stop:
            console.print("stopped.")


# what a running lab does -------------------------------------------------------------------------------------------
@app.command("list")
def list_(context: typer.Context, folder: _Folder = None) -> None:
    """Things, their certificates, policies and sessions."""
    told = _remote(context, folder).do("list")
    for each in told["things"]:
        print(f"{each['thing']:<16} {each['certificate'][:12]} {each['status']:<9} "
              f"{'connected' if each['connected'] else 'away':<9} {', '.join(each['policies'])}"
              f"{'  banned: ' + each['banned'] if each['banned'] else ''}")


@app.command()
def deactivate(context: typer.Context, name: _Name, folder: _Folder = None) -> None:
    """Certificates INACTIVE; their sessions drop."""
    _set(context, folder, "deactivate", name)


@app.command()
def activate(context: typer.Context, name: _Name, folder: _Folder = None) -> None:
    """Certificates ACTIVE again."""
    _set(context, folder, "activate", name)


@app.command()
def revoke(context: typer.Context, name: _Name, folder: _Folder = None) -> None:
    """Certificates REVOKED; their sessions drop."""
    _set(context, folder, "revoke", name)


@app.command()
def add(context: typer.Context, thing: str, policy_name: Annotated[str, typer.Option("--policy")] = "narrow",
        folder: _Folder = None) -> None:
    """Another thing with a certificate of its own; says what to flash."""
    print(_remote(context, folder).do("add", thing=thing, policy=policy_name)["text"])


@app.command()
def flash(context: typer.Context, thing: str, folder: _Folder = None) -> None:
    """What to put on a board of one's own."""
    print(_remote(context, folder).do("flash", thing=thing)["text"])


@app.command()
def rotate(context: typer.Context, thing: str, folder: _Folder = None) -> None:
    """Ask a thing to replace its key."""
    _remote(context, folder).do("rotate", thing=thing)
    print(f"{thing} was asked for another key; it answers when it is connected")


@app.command()
def publish(context: typer.Context, topic: str, payload: str, folder: _Folder = None) -> None:
    """A message from the cloud's side."""
    print(f"{_remote(context, folder).do('publish', topic=topic, payload=payload)['receivers']} receivers")


@app.command()
def job(context: typer.Context, name: str, thing: str, document: Annotated[str, typer.Argument(help="JSON")] = "{}",
        folder: _Folder = None) -> None:
    """CreateJob for one thing."""
    print(f"{name}: {_remote(context, folder).do('job', job=name, thing=thing, document=document)['status']}")


@app.command()
def shadow(context: typer.Context, thing: str, folder: _Folder = None) -> None:
    """Desired and reported state."""
    print(json.dumps(_remote(context, folder).do("shadow", thing=thing)["state"], indent=2))


@app.command()
def audit(context: typer.Context, folder: _Folder = None) -> None:
    """AWS IoT Device Defender's checks, now."""
    told = _remote(context, folder).do("audit")
    for each in told["findings"]:
        print(f"{each['severity']:<8} {each['check']}  {each['resource'][:24]}: {each['reason']}")
    print(f"{len(told['findings'])} findings; looked at the last {told['looks_back_s']} s")


@app.command()
def log(context: typer.Context, follow: Annotated[bool, typer.Option("--follow", "-f", help="until Ctrl-C")] = False,
        folder: _Folder = None) -> None:
    """Decisions: who, what, and which statement of which policy (policy[number], from 0)."""
    remote, last = _remote(context, folder), 0
    with Interrupt() as stop:
        while True:
            for line in remote.do("log", since=str(last))["lines"]:
                print(line["text"], flush=True)
                last = line["number"]
            if not follow or stop:
                return
            time.sleep(0.5)


@policy.command("list")
def list_policies(context: typer.Context, folder: _Folder = None) -> None:
    """Names and versions."""
    for each in _remote(context, folder).do("policies")["policies"]:
        print(f"{each['policy']:<16} version {each['version']} of {', '.join(map(str, each['versions']))}")


@policy.command()
def show(context: typer.Context, name: str, folder: _Folder = None) -> None:
    """The document that decides."""
    print(_document(_remote(context, folder), name))


@policy.command()
def edit(context: typer.Context, name: str,
         file: Annotated[Path | None, typer.Argument(help="the new document, - for standard input (default: $EDITOR)")]
         = None, folder: _Folder = None) -> None:
    """A new default version, in force at once unless the profile caches policies."""
    remote = _remote(context, folder)
    text = _read(file) if file else _edited(_document(remote, name))
    print(f"policy {name}: version {remote.do('policy-edit', policy=name, document=text)['version']} decides now")


@policy.command()
def create(context: typer.Context, name: str, file: Path, folder: _Folder = None) -> None:
    """A policy nobody carries yet."""
    _remote(context, folder).do("policy-create", policy=name, document=_read(file))
    print(f"policy {name}: attach it with 'offchip lab policy attach {name} THING'")


@policy.command()
def attach(context: typer.Context, name: str, to: _Name, folder: _Folder = None) -> None:
    """To a thing's certificates."""
    _remote(context, folder).do("policy-attach", policy=name, name=to)
    print(f"policy {name} decides for {to}")


@policy.command()
def detach(context: typer.Context, name: str, of: _Name, folder: _Folder = None) -> None:
    """From a thing's certificates."""
    _remote(context, folder).do("policy-detach", policy=name, name=of)
    print(f"policy {name} decides no more for {of}")


# inside ------------------------------------------------------------------------------------------------------------
def _rules(text: str) -> Rules:
    from offchip.broker.reactions import HOSTILE, Rules

    choices: dict[str, dict[str, object]] = {
        "forbidden": {"forbidden": True}, "rogue": {"rogue": HOSTILE, "rogue_packets": 3},
        "takeovers": {"takeovers": 3}, "shared": {"shared": True}, "sequences": {"sequences": 3}, "lid": {"lid": True},
        "owner_signed": {"owner_signed": True}, "retired": {"retired": True}}
    names = list(choices) if text == "all" else [each.strip() for each in text.split(",") if each.strip()]
    if unknown := set(names) - set(choices):
        raise OffchipError(f"--react: there is no rule '{min(unknown)}'; there are {', '.join(choices)} and all.")
    return Rules(**{key: value for name in names for key, value in choices[name].items()})  # type: ignore[arg-type]


def _remote(context: typer.Context, folder: Path | None) -> Remote:
    from offchip.lab.window import Remote

    return Remote(folder or context.find_root().obj or context.obj or _DEFAULT)


def _set(context: typer.Context, folder: Path | None, act: str, name: str) -> None:
    told = _remote(context, folder).do(act, name=name)
    print(f"{name}: {', '.join(each[:12] for each in told['certificates'])} {told['status']}")


def _document(remote: Remote, name: str) -> str:
    return json.dumps(remote.do("policies", policy=name)["policies"][0]["document"], indent=2)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OffchipError(f"{file}: a policy is JSON in UTF-8.") from None


def _edited(text: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor or not sys.stdin.isatty():
        raise OffchipError("name a file with the new document, - for standard input, or set EDITOR.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "policy.json")
        path.write_text(text, encoding="utf-8")
        if subprocess.run([*shlex.split(editor), str(path)], check=False).returncode:
            raise OffchipError(f"{editor} ended with an error; nothing was changed.")
        return path.read_text(encoding="utf-8")


def _quoted(path: Path) -> str:
    """As a shell takes it, so that the printed line works in a folder with a space."""
    return shlex.quote(str(path))


def _look_at(live: LiveLab, stop: Interrupt, seconds: float | None) -> None:
    from offchip.lab.live import OBSERVER
    from offchip.scene.scene import THING

    files, address = live.files, f"{live.listener.host}:{live.listener.port}"
    # tools read the address off the first line
    console.print(f"broker on {address} with the rules of {live.scene.broker.profile.name}; watch it with:",
                  soft_wrap=True)
    console.print(f"  mosquitto_sub -h localhost -p {live.listener.port} --cafile {_quoted(files.ca)} "
                  f"--cert {_quoted(files.observer_certificate)} --key {_quoted(files.observer_key)} -i {OBSERVER} "
                  "-t 'offchip/#' -v",
                  soft_wrap=True)
    console.print(f"  openssl s_client -connect {address} -servername iot.offchip.test -CAfile {_quoted(files.ca)}",
                  soft_wrap=True)
    console.print(f"  page  {live.window.url}", soft_wrap=True)
    console.print(f"rule it from a second terminal: offchip lab list --folder {_quoted(files.ca.parent)}; "
                  "also deactivate, policy, audit, log ... (offchip lab --help)", soft_wrap=True)
    if not live.board:
        console.print(live.flash.text(THING, live.scene.world.devices[THING]), soft_wrap=True, markup=False)
    live.run(seconds, lambda line: print(line, flush=True), stop)
