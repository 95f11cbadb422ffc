"""Variational autoencoders that cluster music without labels.

The library is a stack of floors; a module imports only from floors below it (the tests enforce it)::

    reference | pages | vary | own
    execute | article | interactive | compare
    report | plots
    train  | cluster | disentangle
    models
    networks
    elbo   | metrics | features | lyrics | sound
    corpus | frames | inputs | checkpoint
    download | manifest | synth
    store  | audio | scaling
    checks
"""
