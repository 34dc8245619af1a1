"""Writes every page that is made of other files. Git ignores them."""

from pathlib import Path

from generate import api, commands, configuration, copies


def write_all(root: Path, docs: Path) -> None:
    """Writes the pages; those that are so already stay untouched, so that they are not built anew.

    Args:
        root: the project's folder.
        docs: the site's.
    """
    for path, text in make_all(root).items():
        file = docs / path
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def make_all(root: Path) -> dict[str, str]:
    """The pages' texts by their paths below docs/."""
    return copies.make(root) | {
        'reference/api.md': api.make(),
        'reference/commands.md': commands.make(root),
        'reference/configuration.md': configuration.make(root),
    }
