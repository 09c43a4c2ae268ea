"""cede beside its peers: what one asyncio operation costs on each event loop.

`python -m benchmarks --help` says how to run it; docs/performance.md says how to read it.

A *row* is one small asyncio program and one number; rows live in `rows/`, each written once,
against the name `asyncio`. A *peer* is an event loop to run it on (`peers.py`); cede stands there
four times: as a loop under the stdlib's asyncio or as the whole package, compiled or interpreted.

The files, in the order in which a measurement passes through them:

    __main__.py    the command line
    row.py         what a row is; the stopwatch that a row's program is handed
    catalogue.py   which rows there are, and how their `asyncio` is replaced
    peers.py       what they run on
    build.py       compiles the C programs in `c/`: clients, limits
    clients.py     what loads a row that is a server
    run.py         one measured run: a fresh, pinned process
    child.py       … and what happens inside that process
    rounds.py      interleaves the runs; medians
    machine.py     where all this was measured
    results.py     the JSON files in docs/performance/
    report.py      the tables
    profiling.py   one row under callgrind, perf or py-spy
    counting.py    rows in instructions, by callgrind: with a trick of cede's and without, or of two trees

Law: a wrong answer is never a number. A run that gives one, crashes or does not end becomes a
dash in the table, and the reason stands below it.
"""
