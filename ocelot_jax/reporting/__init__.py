"""From runs to the paper's tables: what was trained, how well it does, and how sure that is."""
