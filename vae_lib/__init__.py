"""Variational autoencoders that cluster music without labels.

From a corpus to scores that stand beside chance::

    corpus    songs as tables of features, images and words
    features  audio and lyrics to numbers
    models    the variational autoencoder and its recipes
    train     seeds trained, embedded, decoded
    cluster   clusters of latents, their number, their consensus
    metrics   agreement with labels, shape in a space, both beside chance
    protocol  representations to clusters to scores to result rows; verdicts
    plots     axes in, axes out
"""
