"""Train a small network on handwritten digits: a PyTorch program.

Replace `rushlight` by `torch` in the import lines (all but that of the data) and it runs there, with the same initial weights,
the same batches and the same losses.  `train` hands over after every step, so that whoever calls can show, stop or save.
"""
import rushlight as torch
from rushlight import nn, optim
from rushlight.datasets import digits
from rushlight.utils.data import DataLoader, TensorDataset, random_split


def make_data():
    """Four fifths of the digits to learn from, one fifth held out; always the same."""
    images, labels = digits.load()
    x = torch.from_numpy(images).reshape(-1, 64).float() / digits.INK
    y = torch.from_numpy(labels).long()
    return random_split(TensorDataset(x, y), [0.8, 0.2], generator=torch.Generator().manual_seed(0))


def make_model(sizes=(64, 256, 128, 10)):
    """Fully connected layers of these sizes with ReLU between them."""
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(model, data, epochs, lr, batch_size):
    """Train `model`; yields (loss, correct, samples) after each step."""
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, epochs=epochs, steps_per_epoch=len(loader))
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            logits = model(x)
            loss = criterion(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            correct = (logits.argmax(dim=1) == y).sum()
            yield loss.item(), correct.item(), len(y)


def evaluate(model, data):
    """The mean loss on `data`, each sample's class probabilities, and the true classes."""
    model.eval()
    with torch.no_grad():
        x, y = data[:]
        logits = model(x)
        loss = nn.functional.cross_entropy(logits, y)
        probabilities = logits.softmax(dim=1)
    return loss.item(), probabilities.numpy(), y.numpy()
