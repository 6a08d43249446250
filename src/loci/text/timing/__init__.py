"""How expressions of time are read: the calendar, and readers by name, by unit and by number. `dates` drives them."""
