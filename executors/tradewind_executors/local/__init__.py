"""The local executor: every attempt in a process of its own, forked from a zygote that has imported its DAG file."""

from tradewind_executors.local.executor import LocalExecutor

__all__ = ["LocalExecutor"]
