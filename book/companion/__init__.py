"""What serves the pages: running notebooks, their result rows, tables, rendering, variations, the article.

The library of the study is `vae_lib`, which knows nothing of this package. ``python -m companion --help`` lists the
commands that Make calls.
"""
