"""Callbacks run in copies of the context, though compiled they share one while no variable changes."""

import contextvars
import gc
import weakref

import cede

variable = contextvars.ContextVar("variable", default="nothing")


def test_what_one_callback_sets_no_other_sees(loop):
    seen = []

    def set_and_look(value):
        seen.append(variable.get())
        variable.set(value)
        seen.append(variable.get())

    for value in "abc":
        loop.call_soon(set_and_look, value)
    loop.call_later(0.001, set_and_look, "d")
    loop.call_soon_threadsafe(set_and_look, "e")
    loop.call_later(0.005, loop.stop)
    loop.run_forever()
    assert seen == ["nothing", "a", "nothing", "b", "nothing", "c", "nothing", "e", "nothing", "d"]
    assert variable.get() == "nothing"


def test_a_callback_sees_what_was_set_when_it_was_asked_for(loop):
    seen = []

    async def main():
        for value in range(5):
            variable.set(value)
            loop.call_soon(lambda: seen.append(variable.get()))
            loop.call_later(0, lambda: seen.append(variable.get()))
        variable.set("later")
        await cede.sleep(0.005)

    loop.run_until_complete(main())
    assert sorted(seen) == sorted([0, 1, 2, 3, 4] * 2)


def test_the_context_of_a_handle_before_while_and_after_it_runs(loop):
    during = []

    def callback():
        variable.set("set by the callback")
        during.append(handle.get_context() is before)

    handle = loop.call_soon(callback)
    before = handle.get_context()
    other = loop.call_soon(lambda: variable.set("set by the other"))
    before.run(variable.set, "set before")
    assert before[variable] == "set before"
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert during == [True]
    assert handle.get_context() is before
    assert before[variable] == "set by the callback"
    assert other.get_context()[variable] == "set by the other"
    assert variable not in contextvars.copy_context()


def test_a_callback_knows_its_own_context_while_it_runs(loop):
    entered = []

    def callback():
        context = handles[-1].get_context()
        try:
            context.run(print)
        except RuntimeError as error:
            entered.append("already entered" in str(error))

    handles = [loop.call_soon(callback)]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert entered == [True]


def test_a_loop_that_runs_inside_a_callback_has_contexts_of_its_own(loop):
    seen = []

    def inner():
        variable.set("inner")

    def outer():
        cede._set_running_loop(None)
        try:
            other = cede.new_event_loop()
            other.call_soon(inner)
            other.call_soon(lambda: seen.append(variable.get()))
            other.call_soon(other.stop)
            other.run_forever()
            other.close()
        finally:
            cede._set_running_loop(loop)
        seen.append(variable.get())

    loop.call_soon(outer)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["nothing", "nothing"]


def test_a_waiting_loop_keeps_no_value_of_a_variable_alive(loop):
    class Value:
        pass

    def callback():
        variable.set(Value())
        values.append(weakref.ref(variable.get()))
        loop.call_soon(ran.append, True)

    def stop():
        if ran:
            loop.stop()
        else:  # both were due in one turn
            loop.call_later(0.005, stop)

    values = []
    ran = []
    loop.call_soon(callback)
    loop.call_later(0.005, stop)
    loop.run_forever()
    gc.collect()
    assert values[0]() is None
