"""The `rushlight` command: arguments, errors and exit codes.

    rushlight train digits [--model mlp|cnn|rnn|vit]  [--epochs N] [--lr RATE] [--batch-size N] [--seed N] [--threads N]
    rushlight train text [FILE] [--model rnn|lstm|gru|gpt] [...]        [--config FILE] [--out FOLDER]
    rushlight train --resume RUN [--epochs N] [--threads N]
    rushlight predict RUN FILE
    rushlight generate RUN [--prompt TEXT] [--length N] [--temperature T] [--seed N]
    rushlight --version

Exit codes: 0 done; 1 something was wrong, and one sentence on stderr says what; 2 wrong arguments; 130 stopped by Ctrl-C.
Commands are imported when they run, so that --help and --version answer at once.
"""
import argparse
import sys

from rich.console import Console

from . import settings
from .errors import CommandError


def main(arguments=None):
    """Run the command; returns its exit code."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
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
    models = "; ".join(f"{task}: {', '.join(names)}" for task, names in settings.MODELS.items())
    add = train.add_argument
    add("task", nargs="?", choices=settings.TASKS, help="what to learn: digits, 1,797 handwritten ones that come with the package; or text")
    add("file", nargs="?", metavar="FILE", help="the text to learn, in UTF-8; the licence and language reference of Python if not given")
    add("--model", metavar="MODEL", help=f"the kind of network ({models}; the first if not given, lstm for text)")
    add("--epochs", type=argument(settings.whole), metavar="N", help="how often to go through the data")
    add("--lr", type=argument(settings.rate), metavar="RATE", help="the highest learning rate")
    add("--batch-size", type=argument(settings.whole), metavar="N", help="samples a step")
    add("--seed", type=argument(settings.seed), metavar="N", help="where random numbers start (0)")
    add("--threads", type=argument(settings.whole), metavar="N", help="threads to compute with; all cores if not given")
    add("--out", metavar="FOLDER", help="folder for model, metrics and report; runs/TASK-N if not given")
    add("--config", metavar="FILE", help="a TOML file with these settings; what is given here counts more")
    add("--resume", metavar="RUN", help="go on with the run in this folder as if it had never stopped; with --epochs, for longer")
    train.set_defaults(run=run_train)

    predict = commands.add_parser("predict", help="classify images with a trained network")
    predict.add_argument("model", metavar="RUN", help="the folder of a training run")
    predict.add_argument("file", metavar="FILE", help="an image or several, as PNG, CSV or NPY")
    predict.set_defaults(run=run_predict)

    generate = commands.add_parser("generate", help="go on with a text by a trained network")
    add = generate.add_argument
    add("model", metavar="RUN", help="the folder of a training run")
    add("--prompt", default="", metavar="TEXT", help="how the text begins")
    add("--length", type=argument(settings.whole), default=400, metavar="N", help="how many characters to go on for (%(default)s)")
    add("--temperature", type=argument(temperature), default=0.7, metavar="T",
        help="0: always the likeliest, 1: as learned, above: wilder (%(default)s)")
    add("--seed", type=argument(settings.seed), default=0, metavar="N", help="where random numbers start (%(default)s)")
    generate.set_defaults(run=run_generate)
    return parser


def run_train(options, console):
    from .train import train
    return train(options, console)


def run_predict(options, console):
    from .digits import predict
    predict(options.model, options.file, console)
    return 0


def run_generate(options, console):
    from .text import generate
    generate(options, console)
    return 0


class ShowVersion(argparse.Action):
    """--version, which imports the package only when it is asked for."""

    def __init__(self, option_strings, dest, **kwargs):
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser, *_):
        import rushlight
        print(f"rushlight {rushlight.__version__}")
        parser.exit()


def temperature(value):
    """A number not below zero."""
    if not 0 <= float(value) < float("inf"):
        raise ValueError
    return float(value)


def argument(rule):
    """A rule for argparse, whose message says what the rule's docstring does."""
    def parse(words):
        return rule(words)
    parse.__name__ = rule.__doc__.removeprefix("A ").rstrip(".")
    return parse


if __name__ == "__main__":
    sys.exit(main())
