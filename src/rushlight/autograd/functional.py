"""`torch.autograd.functional`: Jacobians, Hessians and products with them, of a function of one tensor or of several.

    jacobian(f, x)    hessian(f, x)    vjp(f, x, v)  v^T J    jvp(f, x, v)  J v    vhp(f, x, v)  v^T H    hvp(f, x, v)  H v

Inputs and outputs are tensors or tuples of tensors, and results have the form of both.  Results can be differentiated with `create_graph`;
with `strict`, an output that does not depend on an input is an error, not zeros.  The work is done in transforms.py.
"""
from ..tensors.tensor import Tensor
from . import trees
from .engine import grad as gradients
from .transforms import Run, rows_of


class _Call(Run):
    """A Run on all inputs, with the wish to have a graph, and strictness."""

    def __init__(self, name, func, inputs, create_graph, strict):
        self.single = isinstance(inputs, Tensor)
        given = (inputs,) if self.single else tuple(inputs)
        for number, x in enumerate(given):
            if not isinstance(x, Tensor):
                raise TypeError(f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the value at index "
                                f"{number} has type {type(x)}.")
        self.strict = strict
        super().__init__(name, func, given, range(len(given)), joined=create_graph)
        self.outside = create_graph
        self.single_output = self.structure is trees.LEAF
        for number, y in enumerate(self.outputs):
            if strict and not y.requires_grad:
                raise RuntimeError(f"Output {number} of the user-provided function does not require gradients. The outputs must be "
                                   "computed in a differentiable manner from the input when running in strict mode.")

    def back(self, outputs, cotangents, retain_graph=True, create_graph=None):
        if self.strict:
            found = gradients(outputs, self.inputs, cotangents, True, True, allow_unused=True)
            for number, g in enumerate(found):
                if g is None:
                    raise RuntimeError(f"Output of the user-provided function is independent of input {number}. This is not allowed in "
                                       "strict mode.")
        return super().back(outputs, cotangents, retain_graph, create_graph)

    def like_inputs(self, values):
        return self.let_out(values[0]) if self.single else tuple(map(self.let_out, values))

    def like_outputs(self, values):
        return values[0] if self.single_output else tuple(values)

    def vector(self, v, wanted, like):
        """`v` as a list that fits the tensors `wanted`, called `like` in messages; ones where it may be left out."""
        if v is None:
            if len(wanted) != 1 or wanted[0].numel() != 1:
                which = "the user-provided function returns" if like == "outputs" else "the input to the user-provided function is"
                raise RuntimeError(f"The vector v can only be None if {which} a single Tensor with a single element.")
            return [wanted[0].detach().new_ones(wanted[0].shape)]
        v = [v] if isinstance(v, Tensor) else list(v)
        if len(v) != len(wanted):
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(wanted)} but got {len(v)}.")
        for number, (given, x) in enumerate(zip(v, wanted)):
            if given.shape != x.shape:
                where = f"Entry {number} in " if number else ""
                raise RuntimeError(f"{where}v has invalid size: should be {x.shape} but got {given.shape}.")
        return v

    def scalar(self):
        """Its only output, which has to be a scalar."""
        if not self.single_output or self.outputs[0].numel() != 1:
            raise RuntimeError(f"The function given to {self.name} should return a single Tensor with a single element.")
        return self.outputs[0]


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v^T J): `v` has the form of the outputs, and may be left out for a scalar.

    >>> torch.autograd.functional.vjp(torch.sum, torch.zeros(2))
    (tensor(0.), tensor([1., 1.]))
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    return call.result(), call.like_inputs(call.back(call.outputs, call.vector(v, call.outputs, "outputs")))


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), J v): `v` has the form of the inputs, and may be left out for a single number.

    >>> torch.autograd.functional.jvp(torch.sin, torch.zeros(2), torch.ones(2))
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    moved = call.pushforward()(call.vector(v, call.inputs, "inputs"))
    return call.result(), call.like_outputs([call.let_out(t) for t in moved])


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian, of shape (*output.shape, *input.shape), for each output and input
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html).
    `vectorize` and `strategy` change nothing in the result.

    >>> torch.autograd.functional.jacobian(lambda x: x ** 2, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
                             'than inputs, '
                             '"forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".')
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError('torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not '
                                  'supported together (yet). '
                                  'Please either set `create_graph=False` or `strategy="reverse-mode"`.')
    call = _Call("jacobian", func, inputs, create_graph, strict)
    return call.like_outputs([call.like_inputs(rows_of(call, y)) for y in call.outputs])


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of a scalar function, of shape (*input.shape, *input.shape), for each pair of inputs
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html).

    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    def slope(*given):
        call = _Call("hessian", func, given, True, strict)
        return tuple(call.back([call.scalar()], [call.outputs[0].detach().new_ones(call.outputs[0].shape)]))

    rows = jacobian(slope, (inputs,) if isinstance(inputs, Tensor) else inputs, create_graph, strict)
    return rows[0][0] if isinstance(inputs, Tensor) else rows


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v^T H) for a scalar function; `v` has the form of the inputs.

    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    call = _Call("vhp", func, inputs, create_graph, strict)
    v = call.vector(v, call.inputs, "inputs")
    y = call.scalar()
    slope = call.back([y], [y.detach().new_ones(y.shape)], create_graph=True)
    return call.result(), call.like_inputs(call.back(slope, v))


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), H v) for a scalar function.  H is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
