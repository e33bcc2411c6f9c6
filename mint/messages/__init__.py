"""What passes between the parts: one struct a message, grouped by who writes it."""
