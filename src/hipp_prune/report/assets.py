"""Files that come with a room and go into its pages: templates, styles and scripts."""

from importlib.resources import files


def asset(name: str, room: str = "hipp_prune.report") -> str:
    """The text of a file that comes with the report, or with another room."""
    return files(room).joinpath(name).read_text(encoding="utf-8")
