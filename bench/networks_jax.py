"""The networks' rows of workloads.py, in plain JAX: python networks_jax.py [--only a,b] [--seconds 2] [--json out]

Same sizes and same work, written as JAX wants it: the whole step under one `jit`, the old parameters given away (`donate_argnums`), a
loop over time as a `scan`, images with their channels last.  Parameters are dictionaries under the names that PyTorch's modules give
them, so that both can start from the same values.  Each step ends with the result observed.

A row is a function that returns `step`; `trainer` makes one of a loss and an optimizer.
"""
import argparse
import functools
import json
import math
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ROWS = {}
RANDOM = np.random.default_rng(0)
tree_map = jax.tree_util.tree_map


def row(function):
    ROWS[function.__name__] = function
    return function


def normal(*shape, scale=1.0):
    return jnp.asarray(RANDOM.standard_normal(shape).astype(np.float32) * np.float32(scale))


def integers(high, *shape):
    return jnp.asarray(RANDOM.integers(0, high, shape))


# ---- layers: each has a function that makes its parameters and one that applies them

def linear_parameters(name, inputs, outputs, bias=True):
    made = {f"{name}.weight": normal(outputs, inputs, scale=inputs ** -0.5)}
    if bias:
        made[f"{name}.bias"] = jnp.zeros(outputs)
    return made


def linear(p, name, x):
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def convolution_parameters(name, inputs, outputs, taps, bias=False):
    made = {f"{name}.weight": normal(taps, taps, inputs, outputs, scale=(inputs * taps * taps) ** -0.5)}
    if bias:
        made[f"{name}.bias"] = jnp.zeros(outputs)
    return made


def convolution(p, name, x, stride=1, padding=0):
    """x: (batch, height, width, channels), the weight: (height, width, channels, results)."""
    y = lax.conv_general_dilated(x, p[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def norm_parameters(name, channels):
    return {f"{name}.weight": jnp.ones(channels), f"{name}.bias": jnp.zeros(channels)}


def layer_norm(p, name, x):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def running_statistics(name, channels):
    return {f"{name}.running_mean": jnp.zeros(channels), f"{name}.running_var": jnp.ones(channels)}


def batch_norm(p, statistics, name, x, training):
    """The normed x, and what the running statistics of this layer become."""
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        count = x.size // x.shape[-1]
        seen = {f"{name}.running_mean": mean, f"{name}.running_var": variance * (count / (count - 1))}
        statistics = statistics | {key: 0.9 * statistics[key] + 0.1 * value for key, value in seen.items()}
    else:
        mean, variance = statistics[f"{name}.running_mean"], statistics[f"{name}.running_var"]
    scale = p[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
    return x * scale + (p[f"{name}.bias"] - mean * scale), statistics


def dropout(key, x, rate):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def cross_entropy(logits, targets):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1).mean()


# ---- optimizers: initial(p) is the state beside the parameters, update(p, g, state) the new of both

class Sgd:
    def __init__(self, rate, momentum=0.0, weight_decay=0.0):
        self.rate, self.momentum, self.weight_decay = rate, momentum, weight_decay

    def initial(self, p):
        return tree_map(jnp.zeros_like, p) if self.momentum else ()

    def update(self, p, g, state):
        if self.weight_decay:
            g = tree_map(lambda g, p: g + self.weight_decay * p, g, p)
        if self.momentum:
            g = state = tree_map(lambda g, m: self.momentum * m + g, g, state)
        return tree_map(lambda p, g: p - self.rate * g, p, g), state


class Adam:
    """Weight decay as in AdamW: apart from the gradient."""

    def __init__(self, rate, weight_decay=0.0):
        self.rate, self.weight_decay = rate, weight_decay

    def initial(self, p):
        return tree_map(jnp.zeros_like, p), tree_map(jnp.zeros_like, p), jnp.float32(0)

    def update(self, p, g, state):
        first, second, steps = state
        steps = steps + 1
        first = tree_map(lambda m, g: 0.9 * m + 0.1 * g, first, g)
        second = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, second, g)
        size, root = self.rate / (1 - 0.9 ** steps), jnp.sqrt(1 - 0.999 ** steps)
        shrink = 1 - self.rate * self.weight_decay
        return tree_map(lambda p, m, v: shrink * p - size * m / (jnp.sqrt(v) / root + 1e-8), p, first, second), (first, second, steps)


class Adadelta:
    def __init__(self, rate):
        self.rate = rate

    def initial(self, p):
        return tree_map(jnp.zeros_like, p), tree_map(jnp.zeros_like, p)

    def update(self, p, g, state):
        squares, moved = state
        squares = tree_map(lambda s, g: 0.9 * s + 0.1 * g * g, squares, g)
        change = tree_map(lambda g, s, m: jnp.sqrt(m + 1e-6) / jnp.sqrt(s + 1e-6) * g, g, squares, moved)
        moved = tree_map(lambda m, c: 0.9 * m + 0.1 * c * c, moved, change)
        return tree_map(lambda p, c: p - self.rate * c, p, change), (squares, moved)


def trainer(loss_of, optimizer, p, *batch, carried=()):
    """One whole training step.  loss_of(p, carried, *batch) is (loss, what it carries to the next step)."""
    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def advance(p, state, carried, *batch):
        (loss, carried), g = jax.value_and_grad(loss_of, has_aux=True)(p, carried, *batch)
        return *optimizer.update(p, g, state), carried, loss

    now = [p, optimizer.initial(p), carried]

    def step():
        *now[:], loss = advance(*now, *batch)
        return float(loss)
    return step


# ---- convolutional networks

@row
def conv3x3():
    p, x = {"c.weight": normal(3, 3, 64, 64)}, normal(16, 56, 56, 64)
    f = jax.jit(lambda p, x: convolution(p, "c", x, padding=1))
    return lambda: float(f(p, x)[0, 0, 0, 0])


def lenet_parameters():
    return (convolution_parameters("conv1", 1, 32, 3, bias=True) | convolution_parameters("conv2", 32, 64, 3, bias=True)
            | linear_parameters("fc1", 9216, 128) | linear_parameters("fc2", 128, 10))


def lenet_loss(p, key, x, y, drop=dropout):
    key, first, second = jax.random.split(key, 3)
    x = jax.nn.relu(convolution(p, "conv2", jax.nn.relu(convolution(p, "conv1", x))))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(linear(p, "fc1", drop(first, x, 0.25).reshape(x.shape[0], -1)))
    return cross_entropy(linear(p, "fc2", drop(second, x, 0.5)), y), key


@row
def lenet():
    return trainer(lenet_loss, Adadelta(1.0), lenet_parameters(), normal(64, 28, 28, 1), integers(10, 64), carried=jax.random.key(0))


RESIDUAL_BLOCKS = [(name, inputs, outputs, stride)  # named after their places in the nn.Sequential
                   for name, inputs, outputs, stride in (("3", 64, 64, 1), ("4", 64, 64, 1), ("5", 64, 128, 2), ("6", 128, 128, 1),
                                                         ("7", 128, 256, 2), ("8", 256, 256, 1), ("9", 256, 512, 2), ("10", 512, 512, 1))]


def resnet18_parameters():
    """Parameters and running statistics."""
    p, statistics = convolution_parameters("0", 3, 64, 3) | linear_parameters("13", 512, 10), {}
    norms = [("1", 64)]
    for name, inputs, outputs, stride in RESIDUAL_BLOCKS:
        p |= convolution_parameters(f"{name}.c1", inputs, outputs, 3) | convolution_parameters(f"{name}.c2", outputs, outputs, 3)
        norms += [(f"{name}.b1", outputs), (f"{name}.b2", outputs)]
        if stride != 1:
            p |= convolution_parameters(f"{name}.short.0", inputs, outputs, 1)
            norms.append((f"{name}.short.1", outputs))
    for name, channels in norms:
        p |= norm_parameters(name, channels)
        statistics |= running_statistics(name, channels)
    return p, statistics


def resnet18(p, statistics, x, training):
    x, statistics = batch_norm(p, statistics, "1", convolution(p, "0", x, padding=1), training)
    x = jax.nn.relu(x)
    for name, _, _, stride in RESIDUAL_BLOCKS:
        y, statistics = batch_norm(p, statistics, f"{name}.b1", convolution(p, f"{name}.c1", x, stride, 1), training)
        y, statistics = batch_norm(p, statistics, f"{name}.b2", convolution(p, f"{name}.c2", jax.nn.relu(y), padding=1), training)
        if stride != 1:
            x, statistics = batch_norm(p, statistics, f"{name}.short.1", convolution(p, f"{name}.short.0", x, stride), training)
        x = jax.nn.relu(y + x)
    return linear(p, "13", x.mean((1, 2))), statistics


def resnet18_loss(p, statistics, x, y):
    logits, statistics = resnet18(p, statistics, x, training=True)
    return cross_entropy(logits, y), statistics


@row
def resnet18_train():
    p, statistics = resnet18_parameters()
    return trainer(resnet18_loss, Sgd(0.1, 0.9, 5e-4), p, normal(32, 32, 32, 3), integers(10, 32), carried=statistics)


@row
def resnet18_infer():
    p, statistics = resnet18_parameters()
    x = normal(8, 32, 32, 3)
    f = jax.jit(lambda p, statistics, x: resnet18(p, statistics, x, training=False)[0])
    return lambda: float(f(p, statistics, x)[0, 0])


# ---- recurrent networks

def cell_parameters(name, inputs, hidden, gates, suffix=""):
    return {f"{name}.{kind}{suffix}": normal(*shape, scale=hidden ** -0.5)
            for kind, shape in (("weight_ih", (gates * hidden, inputs)), ("weight_hh", (gates * hidden, hidden)),
                                ("bias_ih", (gates * hidden,)), ("bias_hh", (gates * hidden,)))}


def lstm_layer(p, name, layer, x):
    """x: (time, batch, features).  The products with the inputs are one, ahead of the loop."""
    recurrent = p[f"{name}.weight_hh_l{layer}"].T
    ahead = x @ p[f"{name}.weight_ih_l{layer}"].T + p[f"{name}.bias_ih_l{layer}"] + p[f"{name}.bias_hh_l{layer}"]

    def turn(state, ahead):
        h, c = state
        i, f, g, o = jnp.split(ahead + h @ recurrent, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h
    zeros = jnp.zeros((x.shape[1], recurrent.shape[0]))
    return lax.scan(turn, (zeros, zeros), ahead)[1]


def char_lstm_parameters():
    return ({"emb.weight": normal(96, 256)} | linear_parameters("out", 256, 96)
            | cell_parameters("rnn", 256, 256, 4, "_l0") | cell_parameters("rnn", 256, 256, 4, "_l1"))


def char_lstm_loss(p, carried, x, y):
    h = p["emb.weight"][x.T]
    for layer in range(2):
        h = lstm_layer(p, "rnn", layer, h)
    return cross_entropy(linear(p, "out", h), y.T), carried


@row
def char_lstm():
    return trainer(char_lstm_loss, Adam(2e-3), char_lstm_parameters(), integers(96, 32, 64), integers(96, 32, 64))


def rnn_cell_parameters():
    return cell_parameters("0", 32, 128, 1) | linear_parameters("1", 128, 8)


def rnn_cell_loss(p, carried, x, y):
    def turn(h, x):
        return jnp.tanh(x @ p["0.weight_ih"].T + p["0.bias_ih"] + h @ p["0.weight_hh"].T + p["0.bias_hh"]), None
    h, _ = lax.scan(turn, jnp.zeros((16, 128)), x)
    return cross_entropy(linear(p, "1", h), y), carried


@row
def rnn_cell_loop():
    return trainer(rnn_cell_loss, Sgd(0.05), rnn_cell_parameters(), normal(32, 16, 32), integers(8, 16))


# ---- attention

WIDTH, HEADS, LAYERS, VOCABULARY, LENGTH = 256, 8, 4, 512, 128


def gpt_parameters():
    p = {"te.weight": normal(VOCABULARY, WIDTH), "pe.weight": normal(LENGTH, WIDTH)}
    for layer in range(LAYERS):
        name = f"b.{layer}"
        p |= norm_parameters(f"{name}.n1", WIDTH) | norm_parameters(f"{name}.n2", WIDTH)
        p |= linear_parameters(f"{name}.a.qkv", WIDTH, 3 * WIDTH) | linear_parameters(f"{name}.a.proj", WIDTH, WIDTH)
        p |= linear_parameters(f"{name}.m.0", WIDTH, 4 * WIDTH) | linear_parameters(f"{name}.m.2", 4 * WIDTH, WIDTH)
    return p | norm_parameters("n", WIDTH) | linear_parameters("head", WIDTH, VOCABULARY, bias=False)


def gpt(p, x):
    h = p["te.weight"][x] + p["pe.weight"][:x.shape[1]]
    for layer in range(LAYERS):
        name = f"b.{layer}"
        q, k, v = (part.reshape(*x.shape, HEADS, WIDTH // HEADS)
                   for part in jnp.split(linear(p, f"{name}.a.qkv", layer_norm(p, f"{name}.n1", h)), 3, -1))
        h = h + linear(p, f"{name}.a.proj", jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(h.shape))
        inner = jax.nn.gelu(linear(p, f"{name}.m.0", layer_norm(p, f"{name}.n2", h)), approximate=False)
        h = h + linear(p, f"{name}.m.2", inner)
    return linear(p, "head", layer_norm(p, "n", h))


def gpt_loss(p, carried, x, y):
    return cross_entropy(gpt(p, x), y), carried


@row
def gpt_train():
    return trainer(gpt_loss, Adam(3e-4, weight_decay=0.1), gpt_parameters(), integers(VOCABULARY, 8, LENGTH), integers(VOCABULARY, 8, LENGTH))


@row
def gpt_infer():
    p, x = gpt_parameters(), integers(VOCABULARY, 1, LENGTH)
    f = jax.jit(gpt)
    return lambda: int(f(p, x)[0, -1].argmax())


# ---- gradients of gradients, and an optimizer alone

def penalty_parameters():
    return linear_parameters("0", 64, 256) | linear_parameters("2", 256, 1)


def penalty_loss(p, carried, x):
    slopes = jax.grad(lambda x: linear(p, "2", jnp.tanh(linear(p, "0", x))).sum())(x)
    return jnp.square(jnp.sqrt(jnp.square(slopes).sum(1)) - 1).mean(), carried


@row
def double_backward():
    return trainer(penalty_loss, Adam(1e-3), penalty_parameters(), normal(128, 64))


@row
def adam_many():
    p, g, optimizer = [[normal(256, 256) for _ in range(200)] for _ in range(2)] + [Adam(1e-3, weight_decay=0.01)]
    update = jax.jit(optimizer.update, donate_argnums=(0, 2))
    now = [p, optimizer.initial(p)]

    def step():
        now[:] = update(now[0], g, now[1])
        return float(now[0][0][0, 0])
    return step


def timed(step, seconds):
    """{median_us, first_s, rss_mb} of a row's step; the first call compiles."""
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(2):
        value = step()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 2000):
        start = time.perf_counter()
        value = step()
        times.append(time.perf_counter() - start)
    if not math.isfinite(value):
        raise FloatingPointError("not finite")
    return {"median_us": sorted(times)[len(times) // 2] * 1e6, "first_s": first,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS), help="comma separated")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", default="", help="write the figures here")
    options = parser.parse_args()
    figures = {}
    for name in options.only.split(","):
        figures[name] = result = timed(ROWS[name](), options.seconds)
        print(f"jax {name:16} {result['median_us']:12.1f} us   first {result['first_s']:6.2f} s   rss {result['rss_mb']:6.0f} MB", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
