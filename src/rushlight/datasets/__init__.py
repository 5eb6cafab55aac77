"""Data sets: some that come with the package, and loaders for those that everybody knows.

    digits.py     1,797 handwritten digits, in the package        text.py       texts, cut into windows; Python's own is always there
    mnist.py      MNIST, FashionMNIST                             cifar.py      CIFAR-10, CIFAR-100
    vision.py     what the two have in common                     transforms.py pictures made larger, smaller, into tensors
    download.py   files from the network

    images, labels = digits.load()
    data = MNIST("data", train=True, transform=transforms.ToTensor(), download=True)
"""
from . import digits, transforms
from .cifar import CIFAR10, CIFAR100
from .download import DownloadError
from .mnist import MNIST, FashionMNIST
from .text import Characters, TextFile, python_text, read_text
from .vision import VisionDataset
