# SPDX-License-Identifier: Apache-2.0
"""What a stranger may do with a file is said in the file."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LICENCE = "SPDX-License-Identifier: Apache-2.0"
#: inputs that were found, byte for byte
CORPUS = ROOT / "tests/fuzz/corpus"
#: data, prose and pictures carry no comment
WITHOUT_COMMENT = {".md", ".txt", ".json", ".png", ".lock", ".pem", ".bin", ".hex", ".typed", ".diff", ".patch"}


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_every_source_file_names_its_licence() -> None:
    silent = [str(path.relative_to(ROOT)) for path in sources()
              if path.suffix not in WITHOUT_COMMENT and path.name not in (".gitignore", "LICENSE")
              and CORPUS not in path.parents
              and LICENCE not in path.read_text(encoding="utf-8", errors="replace")[:400]]
    assert not silent, f'without "{LICENCE}" in the first lines: {", ".join(silent)}'


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
