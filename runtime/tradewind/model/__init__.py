"""The words of Tradewind: states, keys, specs, events, commands, rows and errors.

Nothing in this package does anything: no clock, no loop, no socket, no database. It imports
nothing of ours, so every other package may speak in its terms.
"""
