"""What is changed in pages once they are read: commands that no test runs are marked."""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from generate import shown


def connect(app: Sphinx) -> None:
    """Makes `app` mark the blocks of each page that it reads."""
    tested = {shown.read_shape(command) for command, _ in shown.read_tested(Path(app.srcdir))}
    app.connect('doctree-read', lambda _, doctree: mark(doctree, tested))
    app.connect('doctree-read', lambda _, doctree: separate(doctree))


def mark(doctree: nodes.document, tested: set[shown.Shape]) -> None:
    """Adds a line below each block with a command of a shape that is not among the tested ones."""
    for block in list(doctree.findall(nodes.literal_block)):
        commands = [] if 'python' in block['language'] else shown.find_in_block(block.astext())
        if any(shown.read_shape(command) not in tested for command in commands):
            link = addnodes.pending_xref(
                '',
                nodes.inline('', 'not run by a test'),
                refdomain='std',
                reftype='doc',
                reftarget='/reference/tests_of_commands',
                refexplicit=True,
                refwarn=True,
            )
            line = nodes.paragraph('', '', link, classes=['not-run'])
            block.parent.insert(block.parent.index(block) + 1, line)


def separate(doctree: nodes.document) -> None:
    """Puts a colon between an argument and its words, where Sphinx has two dashes."""
    for text in list(doctree.findall(nodes.Text)):
        if text == ' -- ':
            text.parent.replace(text, nodes.Text(': '))
