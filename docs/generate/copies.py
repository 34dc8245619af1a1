"""Files that stand elsewhere as pages of the site."""

import os
import posixpath
import re
from pathlib import Path

_PAGES = {
    'CHANGELOG.md': 'project/changelog.md',
    'CONTRIBUTING.md': 'project/contributing.md',
    'benchmarks/README.md': 'project/benchmarks.md',
    'benchmarks/levers/README.md': 'project/what_levers_gave.md',
}
_LINK = re.compile(r'(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)')


def make(root: Path) -> dict[str, str]:
    """The pages' texts by their paths below docs/; links lead to pages where there are such."""
    pages = {source: page for source, page in _PAGES.items() if (root / source).exists()}
    for notebook in sorted((root / 'notebooks').glob('*.ipynb')):
        pages[f'notebooks/{notebook.name}'] = f'notebooks/{notebook.name}'
    for readme in sorted((root / 'datasets').glob('*/README.md')):
        name = readme.parent.name
        pages[f'datasets/{name}/README.md'] = f'reference/datasets/{name}.md'
    return {page: _read(root, source, pages) for source, page in pages.items()}


def _read(root: Path, source: str, pages: dict[str, str]) -> str:
    text = (root / source).read_text()
    if not source.endswith('.ipynb') and not text.startswith('# '):
        text = f'# Data set {posixpath.dirname(source).rpartition("/")[2]}\n\n{text}'
    return relink(text, source, pages)


def relink(text: str, source: str, pages: dict[str, str]) -> str:
    """Makes links that hold in `source` hold in its page.

    Args:
        text: Markdown, or a notebook.
        source: where it is, from the project's folder.
        pages: pages below docs/ by the files that they are made of, `source` among them.
    """
    here = posixpath.dirname(f'docs/{pages[source]}')

    def moved(link: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return os.path.relpath(f'docs/{pages[target]}' if target in pages else target, here)

    return _LINK.sub(moved, text)
