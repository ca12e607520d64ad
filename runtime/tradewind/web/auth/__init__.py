"""Who is asking and what they may do: logins, sessions, roles, and brakes on guessing."""
