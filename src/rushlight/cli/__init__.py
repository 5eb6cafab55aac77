"""The `rushlight` command.

    main.py          arguments, errors and exit codes                        start here
    settings.py      what a run goes by: command line, configuration file, what suits the model
    train.py         rushlight train: progress, checkpoints, Ctrl-C, going on
    training.py      the training loop, and all that going on needs          a PyTorch program
    networks.py      the networks that are trained                           a PyTorch program
    digits.py        the task "digits", and rushlight predict; images.py reads PNG, CSV and NPY files
    text.py          the task "text", and rushlight generate; trigrams.py is what counting alone can do
    report.py        the page that a training run leaves behind
    runs.py          run folders and their files
"""
