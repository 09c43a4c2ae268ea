"""Work that takes the processor goes to threads, processes, interpreters or a cluster: one program for all of them.

    cede run examples/executors.py threads
    cede run examples/executors.py processes
    cede run examples/executors.py interpreters                    Python 3.14 and newer
    cede run examples/executors.py dask                            a Dask cluster of two processes; needs `distributed`
    cede run examples/executors.py dask tcp://scheduler:8786       one that is there already

`run_in_executor` takes any executor of `concurrent.futures`' kind and gives a future to await. A program must not
hand over more than the executor can bear: here `at_once` calls are under way at any time, and the rest waits.
"""

import asyncio
import concurrent.futures
import contextlib
import sys
import time


def count_primes(begin, end):
    """Count the primes from `begin` to `end`, without ever awaiting."""
    import math  # here, because an interpreter gets the function alone, without the names of the program around it

    if begin < 0:
        raise ValueError(f"{begin} is negative")
    return sum(n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1)) for n in range(begin, end))


@contextlib.contextmanager
def executor_for(kind, address=None):
    """The executor of that kind."""
    if kind == "threads":
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            yield executor
    elif kind == "processes":
        with concurrent.futures.ProcessPoolExecutor(2) as executor:
            yield executor
    elif kind == "interpreters":
        with concurrent.futures.InterpreterPoolExecutor(2) as executor:
            yield executor
    elif kind == "dask":
        from dask.distributed import Client, LocalCluster

        with contextlib.ExitStack() as stack:
            if address is None:
                cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
                address = stack.enter_context(cluster)
            yield stack.enter_context(Client(address)).get_executor()
    else:
        sys.exit(f"no executor of the kind {kind!r}: threads, processes, interpreters or dask")


async def count_all(executor, pieces, at_once):
    """Count the primes of all pieces, with no more than `at_once` calls under way."""
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(at_once)

    async def count(piece):
        async with places:
            return await loop.run_in_executor(executor, count_primes, *piece)

    return sum(await asyncio.gather(*map(count, pieces)))


async def measure_gaps(gaps):
    """Note for how long the loop could not take its turn."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - begun)


async def main(executor):
    gaps = []
    measuring = asyncio.create_task(measure_gaps(gaps))
    total = await count_all(executor, [(begin, begin + 5_000) for begin in range(0, 100_000, 5_000)], at_once=4)
    print("primes below 100000:", total)
    try:
        await asyncio.get_running_loop().run_in_executor(executor, count_primes, -1, 1)
    except ValueError as error:
        print("an error comes back as itself:", error)
    measuring.cancel()
    print("the loop went on meanwhile:", "yes" if len(gaps) > 3 else "no", file=sys.stderr)


if __name__ == "__main__":
    # Order: the executor stands outside of the loop, for at its end it waits for what it still runs.
    with executor_for(*sys.argv[1:] or ["threads"]) as executor:
        asyncio.run(main(executor))
