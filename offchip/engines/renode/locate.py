# SPDX-License-Identifier: Apache-2.0
"""Finding a Renode that pyrenode3 can load, without loading it.

Looked for, in this order: what ``PYRENODE_BIN``, ``PYRENODE_PKG`` or ``PYRENODE_BUILD_DIR`` name; what
``scripts/get-renode`` unpacked below ``.cache``; an installed ``renode``. pyrenode3 needs the .NET flavour: a portable
single file, or a folder with ``Renode.runtimeconfig.json``; the Mono flavour does not fit.

``OFFCHIP_RENODE_PYTHON`` may name another Python for the workers, one that has pyrenode3; they need nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from offchip.errors import EngineError
from offchip.paths import CACHE, ROOT

#: folders that scripts/get-renode makes; a nightly build is used only where PYRENODE_BIN names it
_CACHED = "renode-[0-9]*"
_PACKAGED = Path("/opt/renode")
#: each names a Renode for pyrenode3
VARIABLES = ("PYRENODE_BIN", "PYRENODE_PKG", "PYRENODE_BUILD_DIR")
_DEFAULT_BUILD_OUTPUT = "output/bin/Release"
#: what a folder of .NET programs holds, and what "dotnet" starts there
_RUNTIME, _DLL = "Renode.runtimeconfig.json", "Renode.dll"
#: where "dotnet" is when neither DOTNET_ROOT nor PATH says so
_DOTNET_FOLDERS = ("/usr/share/dotnet", "/usr/lib/dotnet", "~/.dotnet")

#: tells a worker which file to lock while it loads Renode
LOCK = "OFFCHIP_RENODE_LOCK"

#: names the Python of the workers
PYTHON = "OFFCHIP_RENODE_PYTHON"

FIX_RENODE = "run scripts/get-renode, or set PYRENODE_BIN to the program of a portable .NET Renode"
FIX_PYTHON = "run: pip install -r requirements-renode.txt"


@dataclass(frozen=True, slots=True)
class Renode:
    """A Renode on this machine.

    Attributes:
        path: the program, the package or the build folder.
        how: where it was found, in words.
        variables: what pyrenode3 must find in its environment to load it.
        command: what starts its own monitor, before any option; empty when nothing on this machine does.
    """

    path: Path
    how: str
    variables: Mapping[str, str]
    command: tuple[str, ...] = ()


def find_renode(environment: Mapping[str, str] = os.environ, cache: Path = CACHE,
                packaged: Path = _PACKAGED) -> Renode | None:
    """The Renode to use, or None.

    Raises:
        EngineError: the environment names one that is not there, or several.
    """
    named = [name for name in VARIABLES if environment.get(name)]
    if len(named) > 1:
        raise EngineError(f"{' and '.join(named)} are set, but pyrenode3 takes only one of them; unset the others.")
    if named:
        return _named(named[0], environment)
    for folder in sorted(cache.glob(_CACHED), reverse=True):
        program = folder / "renode"
        if _is_portable(program):
            return _portable(program, "scripts/get-renode")
    installed = shutil.which("renode", path=environment.get("PATH"))
    if installed and _is_portable(Path(installed).resolve()):
        return _portable(Path(installed).resolve(), "renode on the PATH")
    if (packaged / "bin" / _RUNTIME).is_file():
        variables = {"PYRENODE_BUILD_DIR": str(packaged), "PYRENODE_BUILD_OUTPUT": "bin", "PYRENODE_RUNTIME": "coreclr"}
        return Renode(packaged, "installed package", variables, _started_by_dotnet(packaged / "bin", environment))
    return None


def need_renode(environment: Mapping[str, str] = os.environ, cache: Path = CACHE,
                packaged: Path = _PACKAGED) -> Renode:
    """The Renode to use. Raises EngineError with the one line that fixes what is missing."""
    found = find_renode(environment, cache, packaged)
    if found is None:
        raise EngineError(f"There is no Renode here; {FIX_RENODE}.")
    missing = missing_packages()
    if missing:
        raise EngineError(f"Renode is at {found.path}, but Python lacks {' and '.join(missing)}; {FIX_PYTHON}.")
    return found


def start_command(renode: Renode) -> list[str]:
    """What starts Renode's own monitor, to be followed by its options. Raises EngineError when nothing does."""
    if renode.command:
        return [*renode.command]
    if "PYRENODE_PKG" in renode.variables:
        raise EngineError(f"PYRENODE_PKG is {renode.path}, an archive that cannot be started; unpack it and set "
                          "PYRENODE_BUILD_DIR to the folder, PYRENODE_BUILD_OUTPUT to bin.")
    raise EngineError(f"Renode is at {renode.path}, but there is no program 'dotnet' to start it; install the .NET "
                      "runtime, or set DOTNET_ROOT to its folder.")


def missing_packages() -> list[str]:
    """Which of the Python packages that load Renode are not installed; nothing is imported."""
    if os.environ.get(PYTHON):  # another Python has them, or its worker says what it lacks
        return []
    return [name for name in ("pyrenode3", "pythonnet") if find_spec(name) is None]


def worker_python() -> str:
    """The Python that runs the workers. Raises EngineError when the one named is not there."""
    named = os.environ.get(PYTHON)
    if named and not os.access(named, os.X_OK):
        raise EngineError(f"{PYTHON} is {named}, but there is no such program; name a Python that has pyrenode3.")
    return named or sys.executable


def worker_environment(renode: Renode, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment a worker process needs to load ``renode``."""
    result = {name: value for name, value in environment.items() if not name.startswith("PYRENODE_")}
    result.update(renode.variables)
    result[LOCK] = str(_lock_file())
    # profiling for code that runs once costs more than it brings
    result.setdefault("DOTNET_TieredPGO", "0")
    result["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
    if "DOTNET_BUNDLE_EXTRACT_BASE_DIR" not in result and not _home_is_writable(environment):
        # the single-file program unpacks itself below HOME and dies with status 159 when it cannot
        place = Path(tempfile.gettempdir()) / f"offchip-dotnet-{os.getuid()}"
        place.mkdir(mode=0o700, exist_ok=True)
        result["DOTNET_BUNDLE_EXTRACT_BASE_DIR"] = str(place)
    return result


def _named(variable: str, environment: Mapping[str, str]) -> Renode:
    path = Path.cwd() / Path(environment[variable]).expanduser()
    if variable == "PYRENODE_BUILD_DIR":
        return _build(path, environment.get("PYRENODE_BUILD_OUTPUT") or _DEFAULT_BUILD_OUTPUT, environment)
    if not path.is_file():
        raise EngineError(f"{variable} is {path}, but there is no such file; {FIX_RENODE}.")
    if variable == "PYRENODE_PKG":
        if not tarfile.is_tarfile(path):
            raise EngineError(f"PYRENODE_PKG is {path}, which is no tar archive; name the .NET package of Renode.")
        return Renode(path, variable, {variable: str(path), "PYRENODE_RUNTIME": "coreclr"})
    if not os.access(path, os.X_OK):
        raise EngineError(f"PYRENODE_BIN is {path}, which is not a program; name the file 'renode' of a portable one.")
    if not _is_portable(path):
        raise EngineError(f"PYRENODE_BIN is {path}, which is no portable .NET Renode: no libhostfxr lies beside it; "
                          f"{FIX_RENODE}, or PYRENODE_BUILD_DIR to the folder of another .NET Renode.")
    return _portable(path, variable)


def _build(path: Path, output: str, environment: Mapping[str, str]) -> Renode:
    """The folder of a build, or of an unpacked package."""
    programs = path / output
    if not programs.is_dir():
        raise EngineError(f"PYRENODE_BUILD_DIR is {path}, but there is no folder {output} below it; "
                          "set PYRENODE_BUILD_OUTPUT to the folder of the built .NET programs.")
    if not (programs / _RUNTIME).is_file():
        raise EngineError(f"PYRENODE_BUILD_DIR is {path}, but {programs} holds no {_RUNTIME}, so no .NET build of "
                          "Renode; set PYRENODE_BUILD_OUTPUT to the folder that does.")
    variables = {"PYRENODE_BUILD_DIR": str(path), "PYRENODE_BUILD_OUTPUT": output, "PYRENODE_RUNTIME": "coreclr"}
    return Renode(path, "PYRENODE_BUILD_DIR", variables, _started_by_dotnet(programs, environment))


def _portable(program: Path, how: str) -> Renode:
    return Renode(program, how, {"PYRENODE_BIN": str(program), "PYRENODE_RUNTIME": "coreclr"}, (str(program),))


def _started_by_dotnet(programs: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    root = environment.get("DOTNET_ROOT")
    folders = os.pathsep.join(filter(None, (root, environment.get("PATH"),
                                            *(os.path.expanduser(folder) for folder in _DOTNET_FOLDERS))))
    dotnet = shutil.which("dotnet", path=folders)
    return (dotnet, str(programs / _DLL)) if dotnet else ()


def _is_portable(program: Path) -> bool:
    """A portable .NET Renode has the native libraries of the runtime beside its program."""
    return program.is_file() and os.access(program, os.X_OK) and any(program.parent.glob("libhostfxr.*"))


def _lock_file() -> Path:
    """One for all workers of this user, whose temporary folders differ."""
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass
    folder = CACHE if os.access(CACHE, os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"pyrenode3-{os.getuid()}.lock"


def _home_is_writable(environment: Mapping[str, str]) -> bool:
    home = environment.get("HOME") or ""
    return os.path.isdir(home) and os.access(home, os.W_OK)
