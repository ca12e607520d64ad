"""The operators, sensors, triggers and hooks that come with the core."""
