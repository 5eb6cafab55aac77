"""The networks that `rushlight train` trains: a PyTorch program, which runs there with `torch` in the place of `rushlight`.

    for digits, (N, 8, 8) -> (N, 10)      mlp   layers of neurons            rnn   the rows of the image, one after the other
                                          cnn   filters, pooling             vit   attention between patches
    for text, (N, T) -> (N, T, symbols)   rnn, lstm, gru   a state that is carried along         gpt   attention to what came before

Each is small enough for a minute on two cores.  A text network also takes and gives back what it remembers, so that `generate` goes on
from where it is; for gpt that is the text itself.
"""
import rushlight as torch
from rushlight import nn


def digits_mlp():
    """Three layers of neurons."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def digits_cnn(channels=16):
    """Three convolutions of 3 x 3, two poolings."""
    def convolution(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        *convolution(1, channels), *convolution(channels, 2 * channels), nn.MaxPool2d(2),
        *convolution(2 * channels, 4 * channels), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(16 * channels, 10))


class RowReader(nn.Module):
    """A recurrent network that reads an image row by row and decides after the last one."""

    def __init__(self, hidden=96):
        super().__init__()
        self.rnn = nn.RNN(8, hidden, batch_first=True)
        self.decide = nn.Linear(hidden, 10)

    def forward(self, images):
        outputs, _ = self.rnn(images)
        return self.decide(outputs[:, -1])


class Block(nn.Module):
    """x + attention(norm(x)), then x + two linear layers(norm(x)): the block of GPT-2 and of the vision transformer."""

    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm_attention, self.norm_neurons = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.neurons = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def queries_keys_values(self, x):
        """Each (N, heads, T, width / heads)."""
        return (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.attend(self.norm_attention(x)).chunk(3, dim=-1))

    def forward(self, x):
        query, key, value = self.queries_keys_values(x)
        found = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + self.project(found.transpose(1, 2).flatten(2))
        return x + self.neurons(self.norm_neurons(x))

    def attention(self, x):
        """Whom each place attends to: (N, heads, T, T), rows that sum to one.  For drawings; `forward` never has it whole."""
        query, key, _ = self.queries_keys_values(x)
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, float("-inf"))
        return scores.softmax(dim=-1)


class PatchReader(nn.Module):
    """A vision transformer: patches of 2 x 2 pixels look at each other; one more place collects the answer."""

    def __init__(self, width=48, layers=2, heads=4):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.answer = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 17, width))
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.decide = nn.Linear(width, 10)

    def embed(self, images):
        """(N, 8, 8) -> (N, 17, width)"""
        patches = self.patches(images.unsqueeze(1)).flatten(2).transpose(1, 2)
        return torch.cat([self.answer.expand(len(images), 1, -1), patches], dim=1) + self.places

    def forward(self, images):
        return self.decide(self.norm(self.blocks(self.embed(images)))[:, 0])


class StateReader(nn.Module):
    """A recurrent network over characters: `kind` is nn.RNN, nn.LSTM or nn.GRU."""

    def __init__(self, symbols, kind, hidden=192, width=64):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.rnn = kind(width, hidden, batch_first=True)
        self.predict = nn.Linear(hidden, symbols)

    def forward(self, text, state=None):
        outputs, state = self.rnn(self.embed(text), state)
        return self.predict(outputs), state


class ContextReader(nn.Module):
    """A small GPT over characters: every place attends to itself and the `context` - 1 before it."""

    def __init__(self, symbols, width=96, layers=2, heads=4, context=64):
        super().__init__()
        self.context = context
        self.embed = nn.Embedding(symbols, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Linear(width, symbols)
        for table in (self.embed, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def embedded(self, text):
        """(N, T) -> (N, T, width)"""
        return self.embed(text) + self.places(torch.arange(text.shape[1]))

    def forward(self, text, state=None):
        seen = text if state is None else torch.cat([state, text], dim=1)
        seen = seen[:, -self.context:]
        logits = self.predict(self.norm(self.blocks(self.embedded(seen))))
        return logits[:, -text.shape[1]:], seen


DIGITS = {"mlp": digits_mlp, "cnn": digits_cnn, "rnn": RowReader, "vit": PatchReader}
TEXT = {
    "rnn": lambda symbols: StateReader(symbols, nn.RNN),
    "lstm": lambda symbols: StateReader(symbols, nn.LSTM),
    "gru": lambda symbols: StateReader(symbols, nn.GRU),
    "gpt": ContextReader,
}
