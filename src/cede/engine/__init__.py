"""The engine: callbacks, deadlines, futures and tasks; it knows no socket and holds no coroutine function.

Read in this order: `loop`, `handles`, `futures`, `tasks`; then `timers`, `pollers`, `waker`, `running`.
Each module imports only what stands before it in the list of `docs/architecture.md`.
"""
