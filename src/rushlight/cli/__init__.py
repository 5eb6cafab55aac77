"""The `rushlight` command.

    main.py          arguments, errors and exit codes             start here
    train.py         rushlight train: progress, checkpoints, Ctrl-C; train_digits.py is the training itself
    predict.py       rushlight predict; images.py reads PNG, CSV and NPY files
    report.py        the page that a training run leaves behind
    runs.py          run folders, and files that are whole or not there
"""
