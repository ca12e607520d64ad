"""One attempt in a process of its own. Speaks frames with the runtime; holds no database credentials."""
