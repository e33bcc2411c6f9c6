"""A network in a loop of its own, in a thread beside the test: a command wants the main thread, for its signals."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Beside(Generic[T]):
    """What runs there: `it` is the context's own."""

    def __init__(self, it: T, loop: asyncio.AbstractEventLoop) -> None:
        self.it, self._loop = it, loop

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        """Have something done there; what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def beside(network: AbstractAsyncContextManager[T]) -> Iterator[Beside[T]]:
    """Hold an async context open beside the test; whatever goes wrong in it is raised here."""
    entered: Future[Beside[T]] = Future()
    over = asyncio.Event()

    async def hold() -> None:
        try:
            async with network as it:
                entered.set_result(Beside(it, asyncio.get_running_loop()))
                await over.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(asyncio.run, hold())
        here = entered.result()
        try:
            yield here
        finally:
            here._loop.call_soon_threadsafe(over.set)
        held.result()
