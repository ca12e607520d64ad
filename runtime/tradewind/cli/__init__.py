"""The command line: one file a group of commands, over the same services as the web."""
