"""Cycles of random snapshots as files, as `meshctl explain placement --capture` writes them, and what differs
when they are decided again."""

from collections.abc import Iterable
from pathlib import Path
from random import Random

from mesh_cli.own_file import put_own_file
from mesh_fakes.random_snapshots import random_snapshot
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.replay import differing, recorded, replay, stored_plan


def captured(folder: Path, seeds: Iterable[int]) -> int:
    """Decide and store each, some of them for one placement alone; how many there are."""
    made = 0
    for seed in seeds:
        snapshot = random_snapshot(seed)
        names = [one.name for one in snapshot.placements]
        only = [Random(seed).choice(names)] if seed % 4 == 0 else None
        plan = schedule(snapshot, BUILT_IN, only=only)
        put_own_file(_file(folder, seed), recorded(snapshot, plan, only=only))
        made += 1
    return made


def differing_replays(folder: Path, seeds: Iterable[int]) -> list[str]:
    """One line for each of which the answer is another one now."""
    found = []
    for seed in seeds:
        stored = _file(folder, seed).read_bytes()
        again, then = replay(stored, BUILT_IN), stored_plan(stored)
        if again != then:
            found.append(f"SEED={seed}: differs in {differing(again, then) or 'the reservations'}")
    return found


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.json"
