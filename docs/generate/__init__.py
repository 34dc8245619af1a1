"""Pages that are made of the project's other files: text in, Markdown out."""
