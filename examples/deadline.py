"""A group of tasks with a deadline: all end together, whatever happens.

    cede run examples/deadline.py

A TaskGroup waits for its tasks; when one fails it cancels the others and reports the errors as a group. A
timeout around it cancels the whole group when time is up. No task is ever left behind.
"""

import asyncio


async def fetch(name, seconds):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print(f"  {name}: cancelled, cleaning up")
        raise
    if name == "broken":
        raise ValueError(f"{name} has no answer")
    print(f"  {name}: done")
    return name.upper()


async def all_in_time():
    print("all in time:")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch(name, delay)) for name, delay in (("slow", 0.06), ("quick", 0.02))]
    print("  results:", [task.result() for task in tasks])


async def too_late():
    print("too late:")
    try:
        async with asyncio.timeout(0.1), asyncio.TaskGroup() as group:
            group.create_task(fetch("quick", 0.02))
            group.create_task(fetch("endless", 3600))
    except TimeoutError:
        print("  time is up")


async def one_fails():
    print("one fails:")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch("broken", 0.02))
            group.create_task(fetch("endless", 3600))
    except* ValueError as errors:
        print("  errors:", [str(error) for error in errors.exceptions])


async def main():
    await all_in_time()
    await too_late()
    await one_fails()


asyncio.run(main())
