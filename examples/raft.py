"""Raft: three nodes agree on a log, whatever the network does. Run it as it is, or let a simulation look for mistakes.

    python examples/raft.py                 a minute of three nodes whose network and power fail, simulated
    python examples/raft.py "vote twice"    the same with a mistake planted, searched for and told as a story

The nodes are plain asyncio: datagrams, timers, and a file that is synced. Nothing in them knows of simulation; what
looks for mistakes stands at the end. See Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm".
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PORT = 7000
HEARTBEAT = 0.05  # seconds
ELECTION = (0.15, 0.30)  # seconds without a leader after which a follower stands for election
MISTAKES = ("vote twice", "term not persisted", "commit of an old term", "log not truncated")

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    os.fsync(number)
    os.close(number)


class Node(asyncio.DatagramProtocol):
    """A node. `addresses` are those of all nodes, its own at `number`; `apply(index, command)` gets what is agreed on.

    `mistake` is one of MISTAKES, to be planted.
    """

    def __init__(
        self, number: int, addresses: list[str], folder: Path, apply: Callable[[int, Any], None], mistake: str = ""
    ) -> None:
        self.number = number
        self._addresses = addresses
        self._file = folder / "raft.json"
        self._apply = apply
        self._mistake = mistake
        # Persistent: synced before anybody is told of it.
        self.term = 0
        self.voted_for: int | None = None
        self.log: list[tuple[int, Any]] = []  # (term, command); indexes begin at 1
        # Volatile.
        self.role = FOLLOWER
        self.commit = 0
        self.applied = 0
        self._votes: set[int] = set()
        self._next: dict[int, int] = {}  # of a leader: index of the next entry for each of the others
        self._match: dict[int, int] = {}  # index up to which theirs is known to be the same
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._load()

    @property
    def others(self) -> list[int]:
        return [number for number in range(len(self._addresses)) if number != self.number]

    @property
    def majority(self) -> int:
        return len(self._addresses) // 2 + 1

    # --- What outlives it -------------------------------------------------------------------------

    def _load(self) -> None:
        if self._file.exists():
            kept = json.loads(self._file.read_text())
            self.term, self.voted_for = kept["term"], kept["voted_for"]
            self.log = [(term, command) for term, command in kept["log"]]

    def _save(self) -> None:
        term, voted_for = self.term, self.voted_for
        if self._mistake == "term not persisted":
            term, voted_for = 0, None
        new = self._file.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"term": term, "voted_for": voted_for, "log": self.log}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        sync_folder(self._file.parent)

    # --- Running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take part until cancelled."""
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, ("0.0.0.0", PORT))
        try:
            self._wait_for_leader()
            await self._loop.create_future()
        finally:
            self._transport.close()
            if self._timer is not None:
                self._timer.cancel()

    def propose(self, command: Any) -> bool:
        """Append a command to the log; False if this node does not lead."""
        if self.role != LEADER:
            return False
        self.log.append((self.term, command))
        self._save()
        self._replicate()
        return True

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, callback)

    def _send(self, to: int, **message: Any) -> None:
        text = json.dumps({"from": self.number, "term": self.term, **message})
        self._transport.sendto(text.encode(), (self._addresses[to], PORT))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = json.loads(data)
        if message["term"] > self.term:
            self._step_down(message["term"])
        getattr(self, f"_on_{message['kind']}")(message["from"], message)

    def error_received(self, exc: Exception) -> None:
        """Somebody is not there: nothing to do, as everything is sent again."""

    # --- Elections --------------------------------------------------------------------------------

    def _wait_for_leader(self) -> None:
        self._set_timer(random.uniform(*ELECTION), self._stand_for_election)

    def _step_down(self, term: int) -> None:
        self.role = FOLLOWER
        if term > self.term:
            self.term, self.voted_for = term, None
            self._save()
        self._wait_for_leader()

    def _stand_for_election(self) -> None:
        self.role = CANDIDATE
        self.term += 1
        self.voted_for = self.number
        self._save()
        self._votes = {self.number}
        last_term = self.log[-1][0] if self.log else 0
        for other in self.others:
            self._send(other, kind="vote_wanted", last_index=len(self.log), last_term=last_term)
        self._wait_for_leader()

    def _on_vote_wanted(self, sender: int, message: Any) -> None:
        ours = (self.log[-1][0] if self.log else 0, len(self.log))
        is_free = self.voted_for in (None, sender) or self._mistake == "vote twice"
        granted = message["term"] == self.term and is_free and (message["last_term"], message["last_index"]) >= ours
        if granted:
            self.voted_for = sender
            self._save()
            self._wait_for_leader()
        self._send(sender, kind="vote", granted=granted)

    def _on_vote(self, sender: int, message: Any) -> None:
        if self.role != CANDIDATE or message["term"] != self.term or not message["granted"]:
            return
        self._votes.add(sender)
        if len(self._votes) >= self.majority:
            self.role = LEADER
            self._next = {other: len(self.log) + 1 for other in self.others}
            self._match = dict.fromkeys(self.others, 0)
            self._beat()

    # --- Replication ------------------------------------------------------------------------------

    def _beat(self) -> None:
        if self.role == LEADER:
            self._replicate()
            self._set_timer(HEARTBEAT, self._beat)

    def _replicate(self) -> None:
        for other in self.others:
            before = self._next[other] - 1
            term_before = self.log[before - 1][0] if before else 0
            entries = self.log[before : before + 10]
            self._send(
                other, kind="append", before=before, before_term=term_before, entries=entries, commit=self.commit
            )

    def _on_append(self, sender: int, message: Any) -> None:
        if message["term"] < self.term:
            self._send(sender, kind="appended", success=False, match=0)
            return
        if self.role != FOLLOWER:
            self._step_down(message["term"])
        self._wait_for_leader()
        before, entries = message["before"], [(term, command) for term, command in message["entries"]]
        if before > len(self.log) or (before and self.log[before - 1][0] != message["before_term"]):
            self._send(sender, kind="appended", success=False, match=0)
            return
        changed = False
        for index, entry in enumerate(entries, before):
            if index < len(self.log) and self.log[index][0] != entry[0] and self._mistake != "log not truncated":
                del self.log[index:]
            if index >= len(self.log):
                self.log.append(entry)
                changed = True
        if changed:
            self._save()
        match = before + len(entries)
        self._advance(min(message["commit"], match))
        self._send(sender, kind="appended", success=True, match=match)

    def _on_appended(self, sender: int, message: Any) -> None:
        if self.role != LEADER or message["term"] != self.term:
            return
        if not message["success"]:
            self._next[sender] = max(1, self._next[sender] - 1)
            return
        self._match[sender] = max(self._match[sender], message["match"])
        self._next[sender] = self._match[sender] + 1
        for index in range(len(self.log), self.commit, -1):
            has = 1 + sum(match >= index for match in self._match.values())
            # Of an older term an entry that most have may still be overwritten: it is agreed on with one of this term.
            is_of_this_term = self.log[index - 1][0] == self.term or self._mistake == "commit of an old term"
            if has >= self.majority and is_of_this_term:
                self._advance(index)
                break

    def _advance(self, index: int) -> None:
        self.commit = max(self.commit, index)
        while self.applied < self.commit:
            self.applied += 1
            self._apply(self.applied, self.log[self.applied - 1][1])


# --- What looks for mistakes ----------------------------------------------------------------------------------------


class Invariants:
    """What must hold after every turn of any node; an AssertionError says what does not."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}  # those that run
        self.agreed: dict[int, Any] = {}  # what was applied, by index
        self._leaders: dict[int, int] = {}  # who led in each term
        self._logs_of_leaders: dict[int, tuple[int, list[Any]]] = {}  # {node: (term, its log)}
        self._committed: dict[int, tuple[Any, int]] = {}  # {index: (entry that is agreed on, in which term)}
        self._seen: Any = None

    def applied(self, index: int, command: Any) -> None:
        """State machine safety: nobody applies another command at the same index."""
        assert self.agreed.setdefault(index, command) == command, f"two commands are applied at {index}"

    def check(self) -> None:
        state = [(node.role, node.term, node.commit, len(node.log), node.log[-1:]) for node in self.nodes.values()]
        if state == self._seen:
            return
        self._seen = state
        for number, node in self.nodes.items():
            if node.role == LEADER:
                self._check_leader(number, node)
            else:
                self._logs_of_leaders.pop(number, None)
        nodes = list(self.nodes.values())
        for place, one in enumerate(nodes):
            for other in nodes[place + 1 :]:
                self._check_logs(one.log, other.log)
            for index in range(one.commit):
                self._committed.setdefault(index, (one.log[index], one.term))

    def _check_leader(self, number: int, node: Node) -> None:
        leader = self._leaders.setdefault(node.term, number)
        assert leader == number, f"election safety: {leader} and {number} lead in term {node.term}"
        term, before = self._logs_of_leaders.get(number, (node.term, []))
        assert term != node.term or node.log[: len(before)] == before, "leader append-only: it changed its log"
        if term != node.term or len(before) != len(node.log):
            for index, (entry, agreed_in) in self._committed.items():
                has = node.term <= agreed_in or node.log[index : index + 1] == [entry]
                assert has, f"leader completeness: the leader of term {node.term} lacks entry {index + 1}"
        self._logs_of_leaders[number] = (node.term, list(node.log))

    def _check_logs(self, one: list[Any], other: list[Any]) -> None:
        for index in range(min(len(one), len(other)) - 1, -1, -1):
            if one[index][0] == other[index][0]:
                assert one[: index + 1] == other[: index + 1], "log matching: the same last term, other entries before"
                return


async def trial(world: Any, mistake: str = "", rounds: int = 20) -> int:
    """Let three nodes work while one after the other is cut off or loses its power; return how much they agreed on."""
    invariants = Invariants()
    addresses = [f"10.0.0.{2 + number}" for number in range(3)]
    folder = Path("/var/raft")

    def main_of(number: int) -> Callable[[], Any]:
        async def main() -> None:
            if not folder.exists():
                folder.mkdir()
                sync_folder(folder.parent)  # without it a loss of power takes the folder, and all that is in it
            node = invariants.nodes[number] = Node(number, addresses, folder, invariants.applied, mistake)
            await node.run()

        return main

    hosts = [world.host(f"node{number}", main_of(number)) for number in range(3)]
    world.check(invariants.check)

    def propose(command: str) -> None:
        for number, node in invariants.nodes.items():
            if not hosts[number].dead:
                with hosts[number].entered():
                    node.propose(f"{command} by {number}")
                hosts[number].wake()

    for turn in range(rounds):
        # Nobody is given the time to get well between one fault and the next.
        world.heal()
        cut = world.draw("nemesis/partition", turn, 0.15)
        if cut:
            world.partition(hosts[int(cut * 3)])
        lost = world.draw("nemesis/power", turn, 0.05)
        if lost:
            which = int(lost * 4)
            for number in [which] if which < 3 else range(3):
                invariants.nodes.pop(number, None)
                hosts[number].power_off()
                hosts[number].restart()
        propose(f"command {turn}")
        await asyncio.sleep(0.4)
    world.heal()
    await asyncio.sleep(2)
    propose("the last command")
    await asyncio.sleep(2)
    assert any(command.startswith("the last") for command in invariants.agreed.values()), "liveness: nothing is agreed"
    return len(invariants.agreed)


def main() -> None:
    from cede.simulation import explore, run

    mistake = sys.argv[1] if len(sys.argv) > 1 else ""
    if not mistake:
        print(f"agreed on {run(trial, seed=1)} commands")
        return
    if mistake not in MISTAKES:
        raise SystemExit(f"no such mistake: there are {', '.join(map(repr, MISTAKES))}")

    async def with_mistake(world: Any) -> None:
        await trial(world, mistake)

    print(explore(with_mistake, seeds=range(300), first=True))


if __name__ == "__main__":
    main()
