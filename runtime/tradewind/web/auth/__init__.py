"""Who is asking: passwords, sessions, and a brake on guessing."""
