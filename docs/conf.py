"""How Sphinx builds the site; `make docs` does."""

import importlib.metadata
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from generate import marks, pages  # noqa: E402 (found by the line above)

project = 'ocelot_jax'
author = 'The ocelot_jax authors'
copyright = '%Y, the ocelot_jax authors; Apache License 2.0'
release = version = importlib.metadata.version('ocelot_jax')

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
    'sphinx_design',
]
exclude_patterns = ['README.md', '_build', '_generated', 'generate']
# what is referred to must be there, but for types, most of which have no page
nitpicky = True
nitpick_ignore_regex = [('py:(class|exc)', '.*')]
# `name` in a docstring
default_role = 'literal'
# quotes and dashes are code here as often as not
smartquotes = False
maximum_signature_line_length = 80

myst_enable_extensions = ['attrs_block', 'attrs_inline', 'colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 4
# notebooks are shown as they were run last
nb_execution_mode = 'off'

autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = 'furo'
html_title = 'ocelot_jax'
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sphinx = False
html_copy_source = html_show_sourcelink = False
# the prompt and what a command prints are not copied
copybutton_prompt_text = r'\$ |>>> |\.\.\. '
copybutton_prompt_is_regexp = True

# papers' publishers and some hosts answer no program
linkcheck_timeout = 10
linkcheck_workers = 4
linkcheck_anchors = False


def setup(app: Sphinx) -> None:
    """Writes the pages that are made of other files, before Sphinx looks for pages."""
    pages.write_all(DOCS.parent, DOCS)
    marks.connect(app)
