"""Which loop a program gets: current loops, policies, install and uninstall."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import sys
import threading
import warnings

import pytest

import cede

BEFORE_314 = sys.version_info < (3, 14)


@pytest.fixture(autouse=True)
def _as_it_was():
    """Leave the interpreter's policy as it is for other tests."""
    before = asyncio.events._event_loop_policy
    yield
    asyncio.events._event_loop_policy = before
    cede.policy._chosen = None


@pytest.fixture
def installed():
    cede.install()
    yield
    cede.uninstall()


async def kind():
    return type(cede.get_running_loop())


# --- Loops


def test_new_event_loop_makes_cede_s():
    loop = cede.new_event_loop()
    assert type(loop) is cede.EventLoop is cede.SelectorEventLoop is cede.BaseEventLoop
    assert isinstance(loop, cede.AbstractEventLoop)
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()


async def test_the_running_loop_is_the_current_one(loop):
    assert cede.get_event_loop() is cede.get_running_loop() is asyncio.get_running_loop() is loop


def test_without_one_there_is_none():
    with pytest.raises(RuntimeError, match=r"There is no current event loop in thread 'MainThread'\."):
        cede.get_event_loop()
    with pytest.raises(RuntimeError, match="no running event loop"):
        cede.get_running_loop()


def test_the_current_loop_is_shared_with_asyncio(loop):
    cede.set_event_loop(loop)
    try:
        assert cede.get_event_loop() is loop
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
    with pytest.raises(RuntimeError):
        cede.get_event_loop()


def test_each_thread_has_its_own(loop):
    errors = []

    def elsewhere():
        try:
            cede.get_event_loop()
        except RuntimeError as exc:
            errors.append(str(exc))

    cede.set_event_loop(loop)
    try:
        thread = threading.Thread(target=elsewhere, name="elsewhere")
        thread.start()
        thread.join()
    finally:
        cede.set_event_loop(None)
    assert errors == ["There is no current event loop in thread 'elsewhere'."]


def test_only_loops_can_be_set():
    with pytest.raises(TypeError, match="AbstractEventLoop"):
        cede.set_event_loop(1)


# --- install


def test_install_makes_cede_the_default_of_asyncio(installed):
    assert asyncio.run(kind()) is cede.EventLoop
    with asyncio.Runner() as runner:
        assert runner.run(kind()) is cede.EventLoop
    loop = asyncio.new_event_loop()
    assert type(loop) is cede.EventLoop
    loop.close()


def test_get_event_loop_follows_the_interpreter(installed):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    assert asyncio.get_event_loop() is loop
    asyncio.set_event_loop(None)
    loop.close()
    with pytest.raises(RuntimeError):
        asyncio.get_event_loop()


def test_uninstall_undoes_it():
    cede.install()
    cede.uninstall()
    assert asyncio.run(kind()) is not cede.EventLoop
    cede.uninstall()
    assert asyncio.run(kind()) is not cede.EventLoop


def test_install_twice_is_undone_once():
    cede.install()
    policy = asyncio.events._event_loop_policy
    cede.install()
    assert asyncio.events._event_loop_policy is policy
    cede.uninstall()
    assert asyncio.run(kind()) is not cede.EventLoop


def test_a_loop_that_was_set_stays_set(loop):
    asyncio.set_event_loop(loop)
    try:
        cede.install()
        assert asyncio.get_event_loop() is loop
        other = asyncio.new_event_loop()
        asyncio.set_event_loop(other)
        cede.uninstall()
        assert asyncio.get_event_loop() is other
        other.close()
    finally:
        asyncio.set_event_loop(None)


def test_uninstall_leaves_a_policy_of_somebody_else_alone():
    cede.install()
    theirs = type(asyncio.events._event_loop_policy)()
    asyncio.events._event_loop_policy = theirs
    cede.uninstall()
    assert asyncio.events._event_loop_policy is theirs


def test_installing_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cede.install()
        asyncio.run(kind())
        cede.uninstall()


def test_a_whole_program(run_python):
    run_python(
        """
        import asyncio
        import cede

        async def main():
            assert type(asyncio.get_running_loop()) is cede.EventLoop
            await asyncio.gather(asyncio.sleep(0.001), asyncio.to_thread(print, "in a thread"))
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(0, "x"))
            assert type(task) is cede.Task, type(task)

        cede.install()
        asyncio.run(main())
        cede.uninstall()
        """
    )


# --- Policies


def test_policies_are_deprecated():
    for name in ("EventLoopPolicy", "DefaultEventLoopPolicy", "AbstractEventLoopPolicy"):
        with pytest.warns(DeprecationWarning, match=f"{name}' is deprecated") as caught:
            found = getattr(cede, name)
        assert caught[0].filename == __file__
        assert isinstance(found, type)
    with pytest.warns(DeprecationWarning, match="get_event_loop_policy") as caught:
        policy = cede.get_event_loop_policy()
    assert caught[0].filename == __file__
    assert policy is asyncio.events._event_loop_policy
    with pytest.warns(DeprecationWarning, match="set_event_loop_policy") as caught:
        cede.set_event_loop_policy(None)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_policy_of_cede_given_to_asyncio():
    policy = cede.EventLoopPolicy()
    assert isinstance(policy, cede.AbstractEventLoopPolicy)
    asyncio.set_event_loop_policy(policy)
    assert asyncio.run(kind()) is cede.EventLoop
    asyncio.set_event_loop_policy(None)
    assert asyncio.run(kind()) is not cede.EventLoop


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_policy_given_to_cede_is_followed():
    class Theirs(cede.DefaultEventLoopPolicy):
        made = 0

        def new_event_loop(self):
            Theirs.made += 1
            return super().new_event_loop()

    cede.set_event_loop_policy(Theirs())
    assert cede.run(kind()) is cede.EventLoop
    assert Theirs.made == 1
    cede.set_event_loop_policy(None)
    assert cede.run(kind()) is cede.EventLoop
    assert Theirs.made == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_policy_with_its_own_rule_is_asked(loop):
    class Theirs(cede.DefaultEventLoopPolicy):
        def get_event_loop(self):
            return loop

    asyncio.set_event_loop_policy(Theirs())
    assert cede.get_event_loop() is loop


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_policy_given_to_asyncio_does_not_change_cede_s_loops():
    class Theirs(cede.DefaultEventLoopPolicy):
        def new_event_loop(self):
            raise AssertionError

    asyncio.set_event_loop_policy(Theirs())
    assert cede.run(kind()) is cede.EventLoop


def test_new_event_loop_is_a_function_wherever_it_stands(run_python):
    """As an attribute of a class, as unittest wants it, it does not become a method; it travels to other processes."""
    assert pickle.loads(pickle.dumps(cede.new_event_loop)) is cede.new_event_loop
    assert str(inspect.signature(cede.new_event_loop)).startswith("() -> ")
    run_python(
        """
        import asyncio, sys, unittest
        import cede

        class Case(unittest.IsolatedAsyncioTestCase):
            loop_factory = cede.new_event_loop

            async def test_its_loop(self):
                loop = asyncio.get_running_loop()
                self.assertEqual(isinstance(loop, cede.EventLoop), sys.version_info >= (3, 13))

        assert Case.loop_factory is Case().loop_factory is cede.new_event_loop
        if sys.version_info >= (3, 13):  # before, unittest does not ask for it
            unittest.main()
        """
    )
