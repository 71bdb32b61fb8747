# SPDX-License-Identifier: Apache-2.0
"""The C# models of a platform, compiled once for all workers.

Renode compiles every file of every ``include`` anew in each process, which takes most of a worker's start and of its
memory. Here all files a .repl includes become one assembly, kept under ``.cache``; Renode takes it as if it had
compiled them. Whatever does not work out is left to Renode and its messages.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offchip.engines.renode.dotnet import DotNet, HostError, namespace
from offchip.errors import PlatformError
from offchip.paths import CACHE

#: what the host itself needs in Renode
STEPPER = Path(__file__).with_name("Stepper.cs")
_FOLDER = "renode-models"
_USING = re.compile(r'^using "([^"]+)"', re.MULTILINE)
_INCLUDE = re.compile(r"^\s*include @((?:\\\s|\S)+\.cs)\s*$", re.MULTILINE)
#: what this process has loaded
_loaded: set[str] = set()


def included(platform: Path) -> list[Path]:
    """The C# files that a .repl and the files it uses include, each once, in their order."""
    return _files(platform)[1]


def check_includes(platform: Path) -> None:
    """Raises PlatformError when a .repl, or a file it uses, names a file that is not there."""
    for description in _files(platform)[0]:
        for number, line in enumerate(_text(description).splitlines(), 1):
            for named in (_USING.match(line), _INCLUDE.match(line)):
                if named and not (description.parent / _plain(named[1])).is_file():
                    raise PlatformError(f"{description}:{number}: there is no file {named[1]}")


def fingerprint(platform: Path) -> str:
    """Changes with the text of a .repl, of the files it uses and of those it includes."""
    descriptions, sources = _files(platform)
    texts = [file.read_bytes() for file in (*descriptions, *sources) if file.is_file()]
    return hashlib.sha256(b"\0".join([str(platform).encode(), *texts])).hexdigest()


def _files(platform: Path) -> tuple[list[Path], list[Path]]:
    pending, descriptions, sources = [platform], list[Path](), dict[Path, None]()
    while pending:
        file = pending.pop(0)
        if file in descriptions or not file.is_file():
            continue
        descriptions.append(file)
        text = _text(file)
        pending += [file.parent / name for name in _USING.findall(text)]
        sources |= dict.fromkeys((file.parent / _plain(name)).resolve() for name in _INCLUDE.findall(text))
    return descriptions, list(sources)


def _plain(name: str) -> str:
    """A file's name without the monitor's escapes."""
    return re.sub(r"\\(\s)", r"\1", name)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def load(net: DotNet, platform: Path, cache: Path = CACHE) -> type[Any]:
    """Load what the hosts need and, if it works out, what ``platform`` includes.

    Returns:
        The .NET class ``Stepper``.

    Raises:
        HostError: Renode cannot compile it.
    """
    if not _provide(net, [STEPPER, *included(platform)], cache):
        _, complaint = net.execute(f"include @{STEPPER}")
        if complaint:
            raise HostError(f"Renode does not compile {STEPPER}: {complaint}")
    stepper: type[Any] = namespace("Offchip.Engine").Stepper
    return stepper


def _provide(net: DotNet, files: Sequence[Path], cache: Path) -> bool:
    """Load ``files`` as one assembly, compiled now or before, and tell the monitor that it has compiled each of them.

    False: Renode has to compile them itself.
    """
    utilities, reflection = namespace("Antmicro.Renode.Utilities"), namespace("System.Reflection")
    private = reflection.BindingFlags.Instance | reflection.BindingFlags.NonPublic
    field = net.monitor.GetType().GetField("scannedFilesCache", private)  # hashes of the files that it compiled
    if field is None:
        return False
    try:
        texts = [file.read_bytes() for file in files]
        name = hashlib.sha256(b"\0".join([net.version.encode(), *texts])).hexdigest()
        if name in _loaded:
            return True
        assembly = cache / _FOLDER / f"{name[:32]}.dll"
        if not assembly.is_file():
            made = utilities.AdHocCompiler().Compile(net.system.Array[net.system.String]([str(file) for file in files]))
            assembly = _keep(Path(made), assembly)
        reflection.Assembly.LoadFrom(str(assembly))
        if not utilities.TypeManager.Instance.ScanFile(str(assembly)):
            return False
    except (OSError, net.system.Exception):
        return False
    compiled = field.GetValue(net.monitor)
    for text in texts:
        compiled.Add(hashlib.sha256(text).hexdigest().upper())
    _loaded.add(name)
    return True


def _keep(made: Path, wanted: Path) -> Path:
    """Another worker may be doing the same; a cache that cannot be written is no reason to fail."""
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=wanted.parent, delete=False) as copy, made.open("rb") as source:
            shutil.copyfileobj(source, copy)
        os.chmod(copy.name, 0o644)
        os.replace(copy.name, wanted)
    except OSError:
        return made
    return wanted
