"""What people look at: a running network in a terminal, its events as lines of text or JSON."""
