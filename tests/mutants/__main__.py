# SPDX-License-Identifier: Apache-2.0
"""``scripts/mutants``: build every deliberately wrong variant, run what must notice it, and say what went unnoticed."""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import signal
import sys
import tempfile
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from queue import Queue

from rich.console import Console
from rich.markup import escape

from tests.mutants.corpus import CORPUS, CorpusError, Mutant, apply, check, judges_of, load, restore
from tests.mutants.judge import ROOT, Tree, claims, end_all, is_test


def main() -> int:
    """Exit code 0: all noticed; 1: a mutant went unnoticed or a correct variant turned red; 2: no verdict."""
    options = _options()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        mutants = [each for each in load(options.corpus) if (not options.fast or each.fast)
                   and any(fnmatch.fnmatchcase(each.id, pattern) for pattern in options.id or ["*"])]
        if not mutants:
            raise CorpusError("no mutant has such an id; --list names them")
        for each in mutants:
            check(each, ROOT)
        silent = next((each for each in mutants if not each.judges), None)
        if silent and not (options.discover or options.list):
            raise CorpusError(f"{silent.source}: {silent.id}: say what must turn red or stay green (--discover helps)")
    except CorpusError as error:
        print(f"error: {error}.", file=sys.stderr)
        return 2
    if options.list:
        for each in mutants:
            print(f"{each.id:{max(len(mutant.id) for mutant in mutants)}}  {each.what}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="offchip-mutants-"))
    try:
        return _campaign([_asked_everything(each) for each in mutants] if options.discover else mutants, folder,
                         options, console)
    except CorpusError as error:
        print(f"error: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing is left running", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("id", nargs="*", help="only these ids (shell patterns)")
    parser.add_argument("--fast", action="store_true", help="only the subset that the test command runs")
    parser.add_argument("--green", action="store_true",
                        help="what judges was found green just now, without any change: do not ask again")
    parser.add_argument("--list", action="store_true", help="name the mutants and leave")
    parser.add_argument("--discover", action="store_true",
                        help="run every claim of the lab on each mutant and name those that turn red")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of the TOML files (default: the lab's own)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    return parser.parse_args()


def _campaign(mutants: list[Mutant], folder: Path, options: argparse.Namespace, console: Console) -> int:
    trees: Queue[Tree] = Queue()
    for number in range(max(1, min(options.jobs, len(mutants)))):
        trees.put(Tree(folder / str(number)))
    console.print(f"{len(mutants)} variants" + ("" if options.green else "; first everything they name, unchanged"))
    with ThreadPoolExecutor(trees.qsize()) as pool:
        try:
            if not options.green:
                _need_green(judges_of(mutants), trees, pool)
            return _judge_all(mutants, trees, pool, console)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def _judge_all(mutants: list[Mutant], trees: Queue[Tree], pool: Executor, console: Console) -> int:
    failed: list[str] = []
    unjudged: list[str] = []
    running = {pool.submit(_judge, mutant, trees): mutant for mutant in mutants}
    for number, done in enumerate(as_completed(running), 1):
        mutant = running[done]
        try:
            missed = done.result()
        except CorpusError as error:
            unjudged.append(mutant.id)
            console.print(f"[{number}/{len(mutants)}] [yellow]{mutant.id}[/]: {escape(str(error))}")
            continue
        mark = "[red]unnoticed[/]" if missed else "[green]as expected[/]"
        console.print(f"[{number}/{len(mutants)}] {mutant.id} {mark}: {escape(mutant.what)}")
        for judge, word in missed.items():
            console.print(f"      {escape(judge)}: {escape(word)}")
        failed += [mutant.id] if missed else []
    wanted = sum(bool(each.red) for each in mutants)
    red = sum(bool(each.red) and each.id not in failed + unjudged for each in mutants)
    variants = len(mutants) - wanted
    kept = sum(not each.red and each.id not in failed + unjudged for each in mutants)
    print(f"{red} of {wanted} mutants red, {kept} of {variants} correct variants green"
          + (f"; not judged: {', '.join(unjudged)}" if unjudged else "")
          + (f"; unnoticed: {', '.join(failed)}" if failed else ""))
    return 2 if unjudged else 1 if failed else 0


def _asked_everything(mutant: Mutant) -> Mutant:
    """The mutant as a correct variant of which every claim is expected to stay green: what is not so is printed."""
    return replace(mutant, red=(), green=claims())


def _need_green(judges: list[str], trees: Queue[Tree], pool: Executor) -> None:
    """Raises CorpusError when something fails without any change: then nobody's failure says anything."""
    def judged(part: list[str]) -> dict[str, str]:
        tree = trees.get()
        try:
            tree.build()
            return tree.verdicts(part)
        finally:
            trees.put(tree)

    parts = [[each for each in judges if is_test(each) is kind] for kind in (False, True)]
    wrong = {judge: word for found in pool.map(judged, parts) for judge, word in found.items() if word != "green"}
    if wrong:
        judge, word = next(iter(wrong.items()))
        raise CorpusError(f'without any change "{judge}" is not green but: {word} ({len(wrong)} such)')


def _judge(mutant: Mutant, trees: Queue[Tree]) -> dict[str, str]:
    """What did not come out as the corpus says. Raises CorpusError."""
    tree = trees.get()
    try:
        before = apply(mutant, tree.folder)
        try:
            tree.build()
            found = tree.verdicts(mutant.judges)
        finally:
            restore(before)
    finally:
        trees.put(tree)
    wanted = dict.fromkeys(mutant.green, "green") | dict.fromkeys(mutant.red, "red")
    return {judge: found[judge] for judge, colour in wanted.items() if found[judge] != colour}


if __name__ == "__main__":
    sys.exit(main())
