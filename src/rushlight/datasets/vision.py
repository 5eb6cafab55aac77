"""Pictures as data: what MNIST and CIFAR have in common, with torchvision's arguments.

    data = CIFAR10("data", train=True, transform=ToTensor(), download=True)      data[0] -> (picture, number of its class)

A picture is a NumPy array of bytes, (height, width) or (height, width, 3), where torchvision gives a PIL image.
"""
from pathlib import Path

from ..utils.data import Dataset


class VisionDataset(Dataset):
    """Pictures and classes under a folder `root`; a subclass fills `data` and `targets`.

    `transform` changes each picture and `target_transform` each class number when they are asked for
    (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.VisionDataset.html).
    """

    classes: list

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        self.root, self.train, self.transform, self.target_transform = Path(root), bool(train), transform, target_transform
        if download:
            self.download()
        self.data, self.targets = self.read()

    def download(self):
        """Fetch what is missing under `root`."""
        raise NotImplementedError

    def read(self):
        """(pictures, classes) from the files under `root`."""
        raise NotImplementedError

    def missing(self, path):
        """The error where there is no file."""
        return RuntimeError(f"{type(self).__name__}: {path} is not there; download=True fetches it")

    @property
    def class_to_idx(self):
        """Each class's number by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index):
        picture, target = self.sample(index)
        picture = picture if self.transform is None else self.transform(picture)
        return picture, target if self.target_transform is None else self.target_transform(target)

    def sample(self, index):
        """One picture and the number of its class, as they were read."""
        return self.data[index], int(self.targets[index])

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        lines = [f"Number of datapoints: {len(self)}", f"Root location: {self.root}", f"Split: {'Train' if self.train else 'Test'}"]
        for name, transform in (("Transform", self.transform), ("Target transform", self.target_transform)):
            lines += [f"{name}: {transform}".replace("\n", "\n    ")] if transform is not None else []
        return f"Dataset {type(self).__name__}\n" + "\n".join("    " + line for line in lines)
