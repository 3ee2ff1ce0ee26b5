"""How a stage tells how far it has got."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, total) units of work; a command line draws it as a bar with the time left."""

Say = Callable[[str], None]
"""Called with one line of what has happened."""
