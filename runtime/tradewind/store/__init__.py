"""Everything durable. All SQL of the project lives under this package."""
