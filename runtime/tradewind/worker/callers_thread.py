"""Sync code of tasks in the thread of whoever waits for the run: a debugger there stops in it, as in any function."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from types import FrameType
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class CallersThread(Executor):
    """Does what is submitted in the thread that called `run`, one after the other."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._cancel: Callable[[], object] | None = None
        self._is_interrupted = False
        self._is_in_job = False
        self._notices = False
        """Whether interrupts are noticed when they come, and not only where they arrive."""

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

        Raises what it raises. An interrupt (Ctrl-C) cancels it, also one that a task takes in, and is raised when it
        has ended; until then what it asks for is done here.
        """
        ended: Future[T] = Future()

        async def cancellable() -> T:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            if self._is_interrupted:
                task.cancel()
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
        with self._interrupts():
            thread.start()
            self._work()
            thread.join()
        if self._is_interrupted:
            raise KeyboardInterrupt
        return ended.result()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get()
                if job is None:
                    return
                self._is_in_job = True
                job()
            except KeyboardInterrupt:
                if not self._notices:
                    self._interrupt()
            finally:
                self._is_in_job = False

    def _interrupt(self) -> None:
        self._is_interrupted = True
        if self._cancel is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._cancel()

    @contextmanager
    def _interrupts(self) -> Generator[None]:
        """An interrupt in the block is noticed, whoever takes it in. Handlers of others are left alone."""

        def noticed(signum: int, frame: FrameType | None) -> None:
            self._interrupt()
            if self._is_in_job:
                raise KeyboardInterrupt

        is_main = threading.current_thread() is threading.main_thread()
        self._notices = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._notices:
            signal.signal(signal.SIGINT, noticed)
        try:
            yield
        finally:
            if self._notices:
                signal.signal(signal.SIGINT, signal.default_int_handler)


task_threads: ContextVar[Executor | None] = ContextVar("tradewind_task_threads", default=None)
"""Where executors that are made in this context run sync code; None: threads of their own."""
