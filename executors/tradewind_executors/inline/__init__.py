"""The inline executor: async tasks as coroutines, on the runtime's own loop or in async hosts; sync ones in threads."""

from tradewind_executors.inline.executor import InlineExecutor

__all__ = ["InlineExecutor"]
