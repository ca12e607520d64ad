"""The rules: what follows from an event. Pure: no clock, loop, socket, randomness or database.

Each event brings its own moment and random draw, so every decision can be replayed. The same
rules run in production, in `dags test`, in the simulation and in the benchmarks.
"""
