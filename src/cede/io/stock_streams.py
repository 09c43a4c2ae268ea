"""What came before a reset can still be read: the standard library's StreamReader taught what cede's knows.

Programs that say `import asyncio` and run on cede have the standard library's streams. Their reader raises an error of
the connection at once, and throws away what came before it.
"""

import asyncio


class ReaderOfRest(asyncio.StreamReader):
    """A StreamReader whose connection was lost, by an error, with data unread: first the data, then the error."""

    @property
    def _exception(self):
        return None if self._buffer else self.__dict__.get("_exception")

    @_exception.setter
    def _exception(self, exc):
        self.__dict__["_exception"] = exc

    def exception(self):
        return self.__dict__.get("_exception")

    async def _wait_for_data(self, func_name):
        exc = self.exception()
        if exc is not None:
            raise exc  # there is not enough, and nothing more will come
        await super()._wait_for_data(func_name)

    async def read(self, n=-1):
        if n < 0 and self.exception() is not None:
            raise self.exception()  # the end will not come, and what is here stays
        return await super().read(n)


def keep_rest(protocol):
    """See to it that what the reader of a stream's protocol holds can be read after `connection_lost(exc)`."""
    reader = getattr(protocol, "_stream_reader", None)
    if type(reader) is asyncio.StreamReader and reader._buffer:
        reader.__class__ = ReaderOfRest
