"""A differential fuzzer: random programs must do the same on cede, compiled and plain Python, as on stock asyncio.

    python -m tests.fuzz --seed 1 --count 1000      in the checkout's root, with the interpreter that is to be tested

- `programs` makes a program from a seed: a tree of statements (spawn, cancel, gather, timeout, queues …), readable
  when printed, and makes smaller ones of it.
- `play` runs it against `asyncio` or `cede`, and keeps a log of everything that can be observed, in order.
- `worlds` gives both kinds of loop a clock that advances only when there is nothing to do. Timed statements have
  delays of which no two sums are equal, so no two timers are ever due together and the order is well-defined.
- `worker` plays programs in a process of its own, one for each speed. Its modes: `stock`; `loop`, a program that
  imports asyncio, on cede's loop; `package`, one that imports cede.
- `changes` lists what asyncio of older Pythons does differently, for cede does as 3.15 does.
- `__main__` compares the logs, and shrinks a program on which they differ.

`streams` plays what programs do with streams in one process; `hostile` compares nothing: it calls everything with objects
that lie and interfere, and looks whether the process lives.
"""
