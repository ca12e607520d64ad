"""The executors that come with Tradewind, found through the entry point group `tradewind.executors`."""
