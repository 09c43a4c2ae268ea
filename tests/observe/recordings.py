"""What tests of the recorder share."""

from __future__ import annotations

import cede
from cede import observe
from cede.observe import recorder, schema


def recorded(main, size="1MiB", file=False):
    """Run a coroutine function while it is recorded; return the recording."""
    observe.start(size, file=file)
    loop = cede.new_event_loop()
    try:
        loop.run_until_complete(main())
        memory, _ = recorder.rings()[-1]
        return schema.decode(*schema.snapshot(memory))
    finally:
        observe.stop()
        loop.close()


def steps_of(recording, label):
    number = next(number for number, task in recording.tasks.items() if task.name == label)
    return [event for event in recording.events if event.kind == "step" and event.who == number]
