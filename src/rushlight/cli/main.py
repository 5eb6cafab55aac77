"""The `rushlight` command: arguments, errors and exit codes.

    rushlight train digits [--epochs 20] [--lr 0.004] [--seed 0] [--batch-size 32] [--out FOLDER] [--threads N]
    rushlight predict RUN FILE
    rushlight --version

Exit codes: 0 done; 1 something was wrong, and one sentence on stderr says what; 2 wrong arguments; 130 stopped by Ctrl-C.
Commands are imported when they run, so that --help and --version answer at once.
"""
import argparse
import sys

from rich.console import Console


def main(arguments=None):
    """Run the command; returns its exit code."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    from .runs import CommandError
    try:
        return options.run(options, Console())
    except CommandError as error:
        print(f"rushlight: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rushlight: stopped", file=sys.stderr)
        return 130


def make_parser():
    parser = argparse.ArgumentParser(prog="rushlight", description="Deep learning in Python all the way down.")
    parser.add_argument("--version", action=ShowVersion, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    train = commands.add_parser("train", help="train a network and keep it with its report")
    train.add_argument("task", choices=["digits"], help="what to learn: digits, 1,797 handwritten ones that come with the package")
    train.add_argument("--epochs", type=positive(int), default=20, metavar="N", help="how often to go through the data (%(default)s)")
    train.add_argument("--lr", type=positive(float), default=4e-3, metavar="RATE", help="the highest learning rate (%(default)s)")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="where random numbers start (%(default)s)")
    train.add_argument("--batch-size", type=positive(int), default=32, metavar="N", help="samples a step (%(default)s)")
    train.add_argument("--out", metavar="FOLDER", help="folder for model, metrics and report; runs/digits-N if not given")
    train.add_argument("--threads", type=positive(int), metavar="N", help="threads to compute with; all cores if not given")
    train.set_defaults(run=run_train)

    predict = commands.add_parser("predict", help="classify images with a trained network")
    predict.add_argument("model", metavar="RUN", help="the folder of a training run")
    predict.add_argument("file", metavar="FILE", help="an image or several, as PNG, CSV or NPY")
    predict.set_defaults(run=run_predict)
    return parser


def run_train(options, console):
    from .train import train_digits
    return train_digits(options, console)


def run_predict(options, console):
    from .predict import predict
    predict(options.model, options.file, console)
    return 0


class ShowVersion(argparse.Action):
    """--version, which imports the package only when it is asked for."""

    def __init__(self, option_strings, dest, **kwargs):
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser, *_):
        import rushlight
        print(f"rushlight {rushlight.__version__}")
        parser.exit()


def positive(kind):
    """A number above zero, for argparse, which uses the name below in its message."""
    def parse(words):
        value = kind(words)
        if not value > 0 or value == float("inf"):
            raise ValueError
        return value
    parse.__name__ = "positive number" if kind is float else "positive whole number"
    return parse


if __name__ == "__main__":
    sys.exit(main())
