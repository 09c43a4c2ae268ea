"""How `cede ps` and `cede pstree` show what they were told."""

from __future__ import annotations

from typing import Any

import pytest

from cede._command.tree import tree
from cede.observe import describe
from cede.observe.layout import Column, cut, table


def task(ident: int, *stack: str, awaited_by: tuple[int, ...] = (), **more: Any) -> dict[str, Any]:
    row = {
        "id": ident,
        "number": 0,
        "name": f"task{ident}",
        "tid": 77,
        "state": "waiting",
        "waits": "future",
        "resource": 0,
        "holds": [],
        "target": 0,
        "stack": [[name, "/home/app.py", 10 + place] for place, name in enumerate(stack)],
        "awaited_by": list(awaited_by),
    }
    return {**row, **more}


def answer(*tasks: dict[str, Any], resources: tuple[Any, ...] = (), loops: tuple[Any, ...] = ()) -> dict[str, Any]:
    head = {"pid": 5, "cede": "1.0", "python": "3.13.0", "loops": list(loops), "resources": list(resources)}
    return {**head, "tasks": list(tasks)}


LOCK = {"id": 9, "kind": "Lock", "name": "lock", "state": "locked", "holders": [2], "waiters": [1, 3]}
SEEN = answer(
    task(1, "acquire", "work", waits="Lock", resource=9, awaited_by=(4, 99)),
    task(2, "render", state="running", waits="", number=12),
    task(3, "acquire", "work", waits="Lock", resource=9),
    task(4, "main", waits="TaskGroup.__aexit__"),
    resources=(LOCK,),
    loops=({"running": True, "tid": 77, "stack": []},),
)


def test_the_head() -> None:
    assert describe.head(SEEN) == ("process 5, cede 1.0, Python 3.13.0: 1 running loop, 4 tasks (1 running, 3 waiting)")
    assert describe.head(answer()).endswith(": 0 running loops, 0 tasks")


def test_table() -> None:
    assert list(describe.task_table(SEEN, SEEN["tasks"], None)) == [
        "   TASK  NAME   STATE    WAITS FOR                  AT         AWAITED BY        STACK",
        "         task1  waiting  Lock lock (held by task2)  app.py:10  task4, task 0x63  acquire -> work",
        "▶    12  task2  running                             app.py:10                    render",
        "         task3  waiting  Lock lock (held by task2)  app.py:10                    acquire -> work",
        "         task4  waiting  task task1                 app.py:10                    main",
    ]
    assert list(describe.task_table(answer(), [], None)) == ["no tasks"]


@pytest.mark.parametrize("width", [40, 60, 79, 200])
def test_the_width_of_the_terminal(width: int) -> None:
    many = answer(*(task(n, *["function_with_a_name"] * 10, name="a long name " * 5) for n in range(3)))
    lines = list(describe.task_table(many, many["tasks"], width))
    assert max(map(len, lines)) <= max(width, 60)
    assert "…" in lines[1]


def test_groups() -> None:
    lines = list(describe.group_table(SEEN, SEEN["tasks"], None))
    assert " ".join(lines[1].split()) == "2 waiting Lock lock (held by task2) app.py:10 acquire -> work task1, task3"
    assert [line.split()[0] for line in lines[2:]] == ["1", "1"]


def test_resources() -> None:
    assert list(describe.resource_table(SEEN, None)) == [
        "RESOURCE   STATE   HELD BY  WAITED FOR BY",
        "Lock lock  locked  task2    task1, task3",
    ]
    two = answer(resources=(LOCK, {**LOCK, "id": 10}))
    assert [line.split()[:3] for line in describe.resource_table(two, None)][1:] == [
        ["Lock", "lock", "#1"],
        ["Lock", "lock", "#2"],
    ]
    assert list(describe.resource_table(answer(), None)) == []


@pytest.mark.parametrize(
    ("text", "found"), [("TASK1", [1]), ("render", [2]), ("lock", [1, 3]), ("app.py", [1, 2, 3, 4]), ("running", [2])]
)
def test_filter(text: str, found: list[int]) -> None:
    assert [row["id"] for row in describe.matching(SEEN["tasks"], text)] == found


def test_a_callback_that_hangs() -> None:
    seen = answer(loops=({"running": True, "tid": 7, "stack": [["sleep", "/x/app.py", 3], ["tick", "/x/app.py", 9]]},))
    assert list(describe.busy_loops(seen)) == [
        "▶ the loop of thread 7 runs a callback: sleep app.py:3 <- tick app.py:9"
    ]


def test_names_are_made_harmless() -> None:
    """A task may be called what clears the terminal."""
    rows = list(table((Column("NAME", 3), Column("PATH", 5, tail=True)), [["\x1b[2Jx\n", "/a/long/path.py"]], 17))
    assert rows == ["NAME    PATH", "?[2Jx?  …/path.py"]
    assert cut("abcdef", 3) == "ab…"


def test_tree() -> None:
    tasks = [task(1, "gather", "main"), task(2, "sleep", "work", awaited_by=(1,)), task(3, "work", awaited_by=(1,))]
    tasks[2]["state"] = "running"
    assert list(tree(tasks)) == [
        "└── (T) task1",
        "    └──  main /home/app.py:11",
        "        └──  gather /home/app.py:10",
        "            ├── (T) task2",
        "            │   └──  work /home/app.py:11",
        "            │       └──  sleep /home/app.py:10",
        "            └── (T) task3 ▶ running",
        "                └──  work /home/app.py:10",
    ]


def test_circle() -> None:
    """Two tasks that wait for each other, and an onlooker."""
    tasks = [task(1, "a", awaited_by=(2,)), task(2, "b", awaited_by=(1,)), task(3, "c")]
    assert list(tree(tasks)) == [
        "└── (T) task3",
        "    └──  c /home/app.py:10",
        "└── (T) task1",
        "    └──  a /home/app.py:10",
        "        └── (T) task2",
        "            └──  b /home/app.py:10",
        "                └── (T) task1 (a circle)",
    ]
