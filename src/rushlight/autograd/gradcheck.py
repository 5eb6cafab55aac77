"""Derivatives held against finite differences: `gradcheck` and `gradgradcheck`
(https://docs.pytorch.org/docs/stable/autograd.html#numerical-gradient-checking).

For each output element, the row of the Jacobian that backward gives is compared with the column differences
(f(x + eps e_i) - f(x - eps e_i)) / (2 eps).
"""
import numpy as np

from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .engine import grad
from .modes import enable_grad


class GradcheckError(RuntimeError):
    """An analytical gradient differs from the numerical one, or the function cannot be checked."""


def _tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _outputs(function, inputs):
    return [o for o in _tuple(function(*inputs)) if isinstance(o, Tensor)]


def _parts(function):
    """A function whose complex results are two: the real and the imaginary part, which have gradients of their own."""
    return lambda *inputs: tuple(part for o in _outputs(function, inputs) for part in ((o.real, o.imag) if o.is_complex() else (o,)))


def _numerical(function, inputs, position, eps):
    """The Jacobian of every differentiable output to one input, by central differences: a list of (inputs, outputs) arrays."""
    x = inputs[position]
    base = np.array(x.detach().tolist(), dtype=x.dtype.numpy).reshape(tuple(x.shape))
    steps = [eps, 1j * eps] if x.is_complex() else [eps]
    columns = []
    for index in np.ndindex(*base.shape):
        derivative = None
        for step in steps:
            ends = []
            for sign in (1, -1):
                moved = base.copy()
                moved[index] += sign * step
                x.data.copy_(tensor(moved, dtype=x.dtype))  # where it lies: the function may know the tensor by another way, too
                ends.append([np.array(o.detach().tolist()).reshape(-1) for o in _outputs(function, inputs)])
            difference = [(a - b) / (2 * eps) for a, b in zip(*ends)]
            derivative = difference if derivative is None else [(d + 1j * e) for d, e in zip(derivative, difference)]
        columns.append(derivative)
    x.data.copy_(tensor(base, dtype=x.dtype))
    count = len(_outputs(function, inputs))
    return [np.array([c[k] for c in columns]).reshape(base.size, -1) for k in range(count)]


def _analytical(function, inputs, position):
    """The same by backward, a row of ones and zeros at a time."""
    x = inputs[position]
    jacobians = []
    for k, output in enumerate(_outputs(function, inputs)):
        rows = []
        for index in range(output.numel()):
            fresh = _outputs(function, inputs)[k]
            seed = np.zeros(output.numel())
            seed[index] = 1
            arriving = tensor(seed.reshape(tuple(output.shape)), dtype=output.dtype)
            if not fresh.requires_grad:
                rows.append(np.zeros(x.numel()))
                continue
            g, = grad([fresh], [x], [arriving], retain_graph=True, allow_unused=True)
            rows.append(np.zeros(x.numel()) if g is None else np.array(g.tolist()).reshape(-1))
        jacobians.append(np.array(rows).reshape(output.numel(), x.numel()).T)
    return jacobians


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0, check_undefined_grad=True,
              check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """Whether backward's gradients of `func` at `inputs` (float64, some requiring gradients) agree with finite differences.

    Raises GradcheckError where they do not, or returns False with `raise_exception=False`.
    """
    inputs, func = _tuple(inputs), _parts(func)
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    try:
        for position, x in enumerate(inputs):
            if not isinstance(x, Tensor) or not x.requires_grad:
                continue
            pairs = zip(_numerical(func, inputs, position, eps), _analytical(func, inputs, position))
            for k, (numerical, analytical) in enumerate(pairs):
                if analytical.dtype.kind == "c" and numerical.dtype.kind != "c":
                    numerical = numerical.astype(complex)
                if not np.allclose(analytical, numerical, rtol=rtol, atol=atol, equal_nan=True):
                    raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input {position},\n"
                                         f"numerical:{numerical}\nanalytical:{analytical}\n")
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, **ignored):
    """`gradcheck` of the gradient itself: second derivatives against finite differences."""
    inputs = _tuple(inputs)
    outputs = [o for o in _outputs(func, inputs) if o.requires_grad]
    if grad_outputs is None:
        numbers = np.random.default_rng(0)
        grad_outputs = [tensor(numbers.standard_normal(tuple(o.shape)), dtype=o.dtype, requires_grad=True) for o in outputs]
    grad_outputs = _tuple(grad_outputs)
    count = len(grad_outputs)

    def first_derivative(*arguments):
        xs, gs = arguments[:-count], arguments[-count:]
        xs = tuple(x if not isinstance(x, Tensor) or x.requires_grad or not inputs[i].requires_grad
                   else x.detach().requires_grad_() for i, x in enumerate(xs))
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        with enable_grad():
            made = [o for o in _outputs(func, xs) if o.requires_grad]
            return tuple(g for g in grad(made, wanted, gs, create_graph=True, allow_unused=True) if g is not None)

    return gradcheck(first_derivative, (*inputs, *grad_outputs), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
