"""Operators, sensors, triggers and hooks for other systems; they stand on authoring and the standard set alone."""
