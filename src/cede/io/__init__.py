"""Bytes between a protocol and a descriptor: transports, listeners, and their buffers.

Compiled, like the engine below it, and free of coroutines. `cede.net` above builds these objects.
"""
