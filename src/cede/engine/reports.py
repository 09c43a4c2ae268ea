"""How handles, futures and tasks describe themselves: reprs, stacks and the contexts of error reports; debug mode.

Nothing here is on a hot path: it runs when something is printed or went wrong, or is looked for. The formats are
asyncio's, because people match them.
"""

import asyncio
import functools
import inspect
import linecache
import logging
import os
import reprlib
import sys
import traceback

logger = logging.getLogger("asyncio")
_listener = None  # who hears of errors that nobody caught, else None

# How many frames a traceback of debug mode keeps (asyncio's DEBUG_STACK_DEPTH).
STACK_DEPTH = 10

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def debug_mode():
    """Whether the process asks for asyncio's debug mode."""
    return sys.flags.dev_mode or (not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG")))


def check_callback(callback, method):
    """TypeError if `callback` is nothing that the loop's method `method` can call."""
    if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
        raise TypeError(f"coroutines cannot be used with {method}()")
    if not callable(callback):
        raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")


def callers_stack():
    """Return the stack of whoever called into cede, innermost last: a `traceback.StackSummary`.

    Interpreted, cede's own frames stand on the stack and compiled they do not: the innermost ones
    are left out, so that both speeds point at the user's line.
    """
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=STACK_DEPTH, lookup_lines=False)
    stack.reverse()
    return stack


def safe_repr(obj):
    """Return repr(obj), or if that fails, what `object` says of it."""
    try:
        return repr(obj)
    except Exception:
        return object.__repr__(obj)


# --- Callbacks ----------------------------------------------------------------------------------


def _arguments(args, kwargs, debug):
    # Arguments may hold secrets: they are shown in debug mode only.
    if not debug:
        return "()"
    items = [reprlib.repr(arg) for arg in args or ()]
    items.extend(f"{key}={reprlib.repr(value)}" for key, value in (kwargs or {}).items())
    return f"({', '.join(items)})"


def _callback_name(func, args, kwargs, debug, suffix=""):
    if isinstance(func, functools.partial):
        suffix = _arguments(args, kwargs, debug) + suffix
        return _callback_name(func.func, func.args, func.keywords, debug, suffix)
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", None) or repr(func)
    return name + _arguments(args, kwargs, debug) + suffix


def _source(func):
    func = inspect.unwrap(func)
    if inspect.isfunction(func):
        return func.__code__.co_filename, func.__code__.co_firstlineno
    if isinstance(func, (functools.partial, functools.partialmethod)):
        return _source(func.func)
    return None


def callback_source(func, args=(), debug=False):
    """Describe a callback: `name(args) at file:line`."""
    try:
        text = _callback_name(func, args, None, debug)
        source = _source(func)
    except Exception:  # its own repr, or an attribute of it, fails
        return object.__repr__(func)
    return f"{text} at {source[0]}:{source[1]}" if source else text


def handle_info(handle):
    """The words of a handle's repr, as a list."""
    info = [type(handle).__name__ if type(handle).__name__ != "ThreadSafeHandle" else "_ThreadSafeHandle"]
    if handle._cancelled:
        info.append("cancelled")
    if handle._callback is not None:
        info.append(callback_source(handle._callback, handle._args, handle._loop.get_debug()))
    if handle._source_traceback:
        frame = handle._source_traceback[-1]
        info.append(f"created at {frame[0]}:{frame[1]}")
    return info


def callback_failed(handle, exc):
    """Give an exception that left a callback to the loop's exception handler."""
    loop = handle._loop
    source = callback_source(handle._callback, handle._args, loop.get_debug())
    context = {"message": f"Exception in callback {source}", "exception": exc, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)


def slow_step(entry):
    """Name what took long in the ready list, for debug mode's warning."""
    callback = getattr(entry, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if hasattr(owner, "get_coro"):
        return repr(owner)
    return repr(entry)


# --- Errors -------------------------------------------------------------------------------------


def error_message(context):
    """The text that an error's context makes in the log."""
    lines = [context.get("message") or "Unhandled exception in event loop"]
    for key in sorted(context):
        if key in ("message", "exception"):
            continue
        value = context[key]
        if key in ("source_traceback", "handle_traceback"):
            owner = "Object" if key == "source_traceback" else "Handle"
            stack = "".join(traceback.format_list(value)).rstrip()
            lines.append(f"{key}: {owner} created at (most recent call last):\n{stack}")
        else:
            lines.append(f"{key}: {value!r}")
    return "\n".join(lines)


def log_error(current, context):
    """Log what a context of an exception handler says; `current` is the handle that runs, or None."""
    source = getattr(current, "_source_traceback", None)
    if "source_traceback" not in context and source:
        context["handle_traceback"] = source
    exc = context.get("exception")
    exc_info = False if exc is None else (type(exc), exc, exc.__traceback__)
    logger.error(error_message(context), exc_info=exc_info)


def tell_errors_to(listener):
    """Call `listener(context)` of each error that nobody caught; None: tell nobody. It must not raise."""
    global _listener
    _listener = listener


def handle_error(loop, handler, context):
    """Call the loop's exception handler (None: the default one), whatever it then raises itself."""
    if _listener is not None:
        _listener(context)
    try:
        if handler is None:
            loop.default_exception_handler(context)
            return
        try:
            _call_handler(loop, handler, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            failure = {"message": "Unhandled error in exception handler", "exception": exc, "context": context}
            loop.default_exception_handler(failure)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        # asyncio: programs that replace the logger compare the whole call.
        where = "" if handler is None else " while handling an unexpected error in custom exception handler"
        logger.error("Exception in default exception handler" + where, exc_info=True)


def _call_handler(loop, handler, context):
    # The handler runs in the context of what failed: a task, a future that is one, or a handle.
    subject = next((context[key] for key in ("task", "future", "handle") if context.get(key) is not None), None)
    get_context = getattr(subject, "get_context", None)
    scope = get_context() if get_context is not None else None
    if hasattr(scope, "run"):
        scope.run(handler, loop, context)
    else:
        handler(loop, context)


# --- Futures ------------------------------------------------------------------------------------


def _callbacks(callbacks):
    names = [callback_source(callback) for callback, _ in callbacks]
    if len(names) > 2:
        names[1:-1] = [f"<{len(names) - 2} more>"]
    return f"cb=[{', '.join(names)}]"


def _future_info(future):
    info = [future._state.lower()]
    if future._state == "FINISHED":
        if future._exception is not None:
            info.append(f"exception={future._exception!r}")
        else:
            info.append(f"result={reprlib.repr(future._result)}")
    callbacks = future._callbacks
    if callbacks:
        info.append(_callbacks(callbacks))
    if future._source_traceback:
        frame = future._source_traceback[-1]
        info.append(f"created at {frame[0]}:{frame[1]}")
    return info


@reprlib.recursive_repr()
def future_repr(future):
    """The repr of a future."""
    return f"<{type(future).__name__} {' '.join(_future_info(future))}>"


def never_retrieved(future, exc):
    """Report a future that died with an exception nobody asked for."""
    context = {
        "message": f"{type(future).__name__} exception was never retrieved",
        "exception": exc,
        "future": future,
    }
    if future._source_traceback:
        context["source_traceback"] = future._source_traceback
    future._loop.call_exception_handler(context)


# --- Tasks --------------------------------------------------------------------------------------


def _coroutine_name(coro):
    name = getattr(coro, "__qualname__", None) or getattr(coro, "__name__", None)
    if name is None:
        return f"<{type(coro).__name__} without __name__>()"
    return f"{name}()"


def _coroutine_code(coro):
    for prefix in ("cr", "gi"):
        code = getattr(coro, prefix + "_code", None)
        if code is not None:
            return code, getattr(coro, prefix + "_frame", None), bool(getattr(coro, prefix + "_running", False))
    return None, None, bool(getattr(coro, "cr_running", False) or getattr(coro, "gi_running", False))


def _coroutine_repr(coro):
    """Describe a coroutine by name, state and place, as asyncio's task reprs do."""
    name = _coroutine_name(coro)
    code, frame, running = _coroutine_code(coro)
    if code is None:
        return f"{name} running" if running else name
    filename = getattr(code, "co_filename", None) or "<empty co_filename>"
    if running:
        return f"{name} running at {filename}:{frame.f_lineno if frame else code.co_firstlineno}"
    if frame is not None:
        return f"{name} running at {filename}:{frame.f_lineno}"
    return f"{name} done, defined at {filename}:{code.co_firstlineno}"


@reprlib.recursive_repr()
def task_repr(task):
    """The repr of a task."""
    info = _future_info(task)
    if task.cancelling() and not task.done():
        info[0] = "cancelling"
    info.insert(1, f"name={task.get_name()!r}")
    if task._fut_waiter is not None:
        info.insert(2, f"wait_for={task._fut_waiter!r}")
    coro = task.get_coro()
    if coro is not None:
        info.insert(2, f"coro=<{_coroutine_repr(coro)}>")
    return f"<{type(task).__name__} {' '.join(info)}>"


def own_await(task):
    """The error for a task that awaits itself."""
    return RuntimeError(f"Task cannot await on itself: {safe_repr(task)}")


def wrong_loop(task, awaited):
    """The error for awaiting a future of another loop."""
    pair = (safe_repr(task), safe_repr(awaited))
    return RuntimeError("Task {} got Future {} attached to a different loop".format(*pair))


def plain_yield(task, awaited):
    """The error for a future that was yielded and not awaited."""
    pair = (safe_repr(task), safe_repr(awaited))
    return RuntimeError("yield was used instead of yield from in task {} with {}".format(*pair))


def bad_yield(task, answer):
    """The error for a coroutine that yields what is no future."""
    if inspect.isgenerator(answer):
        return RuntimeError(f"yield was used instead of yield from for generator in task {task!r} with {answer!r}")
    return RuntimeError(f"Task got bad yield: {answer!r}")


def destroyed_pending(task):
    """Report a task that died before it was done."""
    context = {"task": task, "message": "Task was destroyed but it is pending!"}
    if task._source_traceback:
        context["source_traceback"] = task._source_traceback
    task._loop.call_exception_handler(context)


def task_stack(task, limit):
    """The frames of a task: where it is suspended, or the traceback it ended with; outermost first."""
    coro = task.get_coro()
    frame = None
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        if hasattr(coro, name):
            frame = getattr(coro, name)
            break
    frames = []
    if frame is not None:
        while frame is not None and (limit is None or len(frames) < limit):
            frames.append(frame)
            frame = frame.f_back
        frames.reverse()
        return frames
    exc = task._exception if task.done() and not task.cancelled() else None
    tb = None if exc is None else exc.__traceback__
    while tb is not None and (limit is None or len(frames) < limit):
        frames.append(tb.tb_frame)
        tb = tb.tb_next
    return frames


def print_task_stack(task, limit, file):
    """Print `task_stack` as a traceback to `file` (default: standard error)."""
    lines = []
    for frame in task.get_stack(limit=limit):
        code = frame.f_code
        linecache.checkcache(code.co_filename)
        line = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals)
        lines.append((code.co_filename, frame.f_lineno, code.co_name, line))
    exc = task._exception if task.done() and not task.cancelled() else None
    if not lines:
        print(f"No stack for {task!r}", file=file)
    elif exc is not None:
        print(f"Traceback for {task!r} (most recent call last):", file=file)
    else:
        print(f"Stack for {task!r} (most recent call last):", file=file)
    traceback.print_list(lines, file=file)
    if exc is not None:
        for line in traceback.format_exception_only(type(exc), exc):
            print(line, file=file, end="")


def overtaken(task):
    """Return the context of the report that a task was given its outcome before its coroutine ended."""
    error = asyncio.InvalidStateError(f"__step(): already done: {task!r}, {task._coro!r}")
    message = "A task was given its outcome before its coroutine ended"
    return {"message": message, "exception": error, "task": task}
