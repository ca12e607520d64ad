"""The services that one runtime composes on its loop. Each is named for its verb."""
