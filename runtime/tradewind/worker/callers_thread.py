"""Sync code of tasks in the thread of whoever waits for the run: a debugger there stops in it, as in any function."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class CallersThread(Executor):
    """Does what is submitted in the thread that called `run`, one after the other."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._cancel: Callable[[], object] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As every executor has it."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)

        self._jobs.put(job)
        return future

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """The result of `main`, on a loop in a thread of its own, whose executors of tasks use this thread.

        Raises what it raises; KeyboardInterrupt here cancels it.
        """
        ended: Future[T] = Future()

        async def cancellable() -> T:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            return await main

        def serve() -> None:
            task_threads.set(self)
            try:
                ended.set_result(asyncio.run(cancellable()))
            except BaseException as error:
                ended.set_exception(error)
            finally:
                self._jobs.put(None)

        thread = threading.Thread(target=copy_context().run, args=(serve,), name="tradewind-loop")
        thread.start()
        try:
            self._work()
        except KeyboardInterrupt:
            if self._cancel is not None:
                self._cancel()
            self._work()
            raise
        finally:
            thread.join()
        return ended.result()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


task_threads: ContextVar[Executor | None] = ContextVar("tradewind_task_threads", default=None)
"""Where executors that are made in this context run sync code; None: threads of their own."""
