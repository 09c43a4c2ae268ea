"""Producers and consumers with a queue between them, which is never longer than three.

    cede run examples/producer_consumer.py

A full queue makes producers wait and an empty one consumers: neither needs to know how fast the others are.
"""

import asyncio


async def produce(queue, name, count):
    for number in range(count):
        await queue.put((name, number))  # waits while the queue is full
    print(f"{name}: all {count} handed over")


async def consume(queue, taken):
    while True:
        item = await queue.get()  # waits while the queue is empty
        taken.append(item)
        await asyncio.sleep(0.005)  # the work
        queue.task_done()


async def main():
    queue = asyncio.Queue(maxsize=3)
    taken = []
    consumers = [asyncio.create_task(consume(queue, taken)) for _ in range(2)]
    async with asyncio.TaskGroup() as producers:
        producers.create_task(produce(queue, "apples", 10))
        producers.create_task(produce(queue, "pears", 5))
    await queue.join()  # until the last item has been worked on, not just taken
    for consumer in consumers:
        consumer.cancel()
    for name in ("apples", "pears"):
        print(f"{name} came out in order:", [number for kind, number in taken if kind == name])


asyncio.run(main())
