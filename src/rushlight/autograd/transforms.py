"""Functional transforms: derivatives of functions as functions (`torch.func`).

    grad(f)(x)              the gradient of a scalar f                  vjp(f, x)       f(x), and v -> v^T J
    jacrev(f)(x)            the Jacobian, row by row                    jvp(f, (x,), (t,))   f(x) and J t
    jacfwd(f)(x)            the same, column by column                  hessian(f)      jacfwd(jacrev(f))

Each runs `f` on inputs that are differentiated anew (`Run`): tensors that stand for the given ones and, where those require gradients
outside, are joined to them, so that transforms nest and what they give can be differentiated again.  Where nothing outside requires
gradients, results require none.  J t is had by going back twice: v^T J is linear in v, and its derivative along t is J t
(https://j-towns.github.io/2017/06/12/A-new-trick.html).  Start with `Run`.
"""
import functools

from ..operators.factories import eye, zeros_like
from ..operators.joining import stack
from ..tensors.tensor import Tensor
from . import trees
from .engine import grad as gradients
from .engine import source, source_of
from .mapping import rounds
from .modes import enable_grad, is_grad_enabled
from .replay import EXTERNAL


class Run:
    """A run of `func` on stand-ins for `args` (a tuple of trees), of which those numbered `argnums` are differentiated.

    `inputs` are the stand-ins; `outputs` the leaves of the result, which hang together as `structure` says; `outside` tells whether
    something else requires gradients too, so that what is computed from here on has to be differentiable.  `joined=False` cuts the inputs
    off from all that.
    """

    def __init__(self, name, func, args, argnums, has_aux=False, joined=True):
        self.name = name
        self.inputs, self.structures, given = [], {}, list(args)
        joined = joined and is_grad_enabled()
        for number in argnums:
            leaves, self.structures[number] = trees.flatten(args[number])
            standing = [self._stand_in(leaf, joined) for leaf in leaves]
            given[number] = trees.build(self.structures[number], standing)
            self.inputs += standing
        with enable_grad():
            result = func(*given)
        self.aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
            result, self.aux = result
        self.outputs, self.structure = trees.flatten(result)
        for value in self.outputs:
            if not isinstance(value, Tensor):
                raise RuntimeError(f"{name}: Expected f(*args) to return only tensors, got unsupported type {type(value)}")
        if not self.outputs:
            raise RuntimeError(f"{name}: Expected f to be a function that has non-empty output (got output = {result})")
        self.outside = joined and _others_behind(self.outputs, self.inputs)
        self.aux = trees.apply(self.let_out, self.aux)

    @staticmethod
    def _stand_in(leaf, joined):
        if not isinstance(leaf, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(leaf)}")
        return leaf.view_as(leaf) if joined and leaf.requires_grad else leaf.detach().requires_grad_()

    def let_out(self, value):
        """A result as users get it."""
        return value.detach() if isinstance(value, Tensor) and value.requires_grad and not self.outside else value

    def result(self):
        """What `func` returned, as users get it."""
        return trees.build(self.structure, [self.let_out(value) for value in self.outputs])

    def back(self, outputs, cotangents, retain_graph=True, create_graph=None):
        """The gradients of `outputs`, times `cotangents`, for each input; zeros where there is none."""
        if create_graph is None:
            create_graph = self.outside or is_grad_enabled() and any(v.requires_grad for v in cotangents)
        pairs = [(y, v) for y, v in zip(outputs, cotangents) if y.requires_grad]
        found = [None] * len(self.inputs)
        if pairs:
            found = gradients(*_columns(pairs, self.inputs), retain_graph, create_graph, allow_unused=True)
        return [zeros_like(x.detach()) if g is None else g for x, g in zip(self.inputs, found)]

    def pushforward(self):
        """A function: a tangent for each input -> the derivative of each output along them."""
        outputs = [y for y in self.outputs if y.requires_grad]
        seeds = [zeros_like(y.detach()).requires_grad_() for y in outputs]
        back = gradients(outputs, self.inputs, seeds, True, True, allow_unused=True) if outputs else []

        def push(tangents):
            pairs = [(g, t) for g, t in zip(back, tangents) if g is not None and g.requires_grad]
            create_graph = self.outside or is_grad_enabled() and any(t.requires_grad for t in tangents)
            found = gradients(*_columns(pairs, seeds), True, create_graph, allow_unused=True) if pairs else [None] * len(seeds)
            along = iter(found)
            moved = [next(along) if y.requires_grad else None for y in self.outputs]
            return [zeros_like(y.detach()) if t is None else t for y, t in zip(self.outputs, moved)]
        return push

    def grouped(self, values, argnums):
        """Values for all inputs in the form of the arguments `argnums`: one tree, or a tuple of them."""
        rest = iter(values)
        made = tuple(trees.build(structure, [next(rest) for _ in range(trees.count(structure))]) for structure in self.structures.values())
        return made[0] if isinstance(argnums, int) else made


def _columns(pairs, inputs):
    """(outputs, inputs, gradients at the outputs), as `gradients` takes them."""
    return [y for y, _ in pairs], inputs, [v for _, v in pairs]


def _others_behind(outputs, own):
    """Whether gradients from `outputs` go to anything but the leaves `own`."""
    own, seen = {id(x) for x in own}, set()
    waiting = [source(y) for y in outputs if y.requires_grad]
    while waiting:
        where = waiting.pop()
        if where is None:
            continue
        if isinstance(where, Tensor):
            if id(where) not in own:
                return True
            continue
        trace, value = where
        history = value.history
        if (trace, history) in seen:
            continue
        seen.add((trace, history))
        if history.callee is EXTERNAL:
            waiting += trace.record.externals[history].sources
        else:
            waiting += [source_of(trace, operand) for operand in history.operands if operand is not None and not operand.weak]
    return False


def _numbers(argnums, count):
    """`argnums` as a tuple of numbers from 0, checked against how many arguments there are."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for number in numbers:
        if not isinstance(number, int):
            raise RuntimeError(f"argnum must be int, got: {type(number)}")
        if not -count <= number < count:
            raise RuntimeError(f"Got argnum={number}, but only {count} positional inputs")
    numbers = tuple(number % count for number in numbers)
    if len(set(numbers)) != len(numbers):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return numbers


# Gradients -----------------------------------------------------------------------------------------------------------

def grad(func, argnums=0, has_aux=False):
    """The gradient of a function that returns a scalar, with respect to the arguments numbered `argnums`
    (https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html).  With `has_aux`, `func` returns (scalar, more), and so does
    this: (gradient, more).

    >>> torch.func.grad(torch.sin)(torch.tensor(0.0))
    tensor(1.)
    """
    @functools.wraps(func)
    def gradient(*args, **kwargs):
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found
    return gradient


def grad_and_value(func, argnums=0, has_aux=False):
    """As `grad`: (gradient, value), or (gradient, (value, more)).

    >>> torch.func.grad_and_value(lambda x: x ** 2)(torch.tensor(3.0))
    (tensor(6.), tensor(9.))
    """
    @functools.wraps(func)
    def gradient_and_value(*args, **kwargs):
        run = Run("grad_and_value(f)(*args)", lambda *a: func(*a, **kwargs), args, _numbers(argnums, len(args)), has_aux)
        if run.structure is not trees.LEAF:
            raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a tensor, got "
                               f"{type(trees.build(run.structure, run.outputs))}")
        output, = run.outputs
        if output.ndim:
            raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got tensor with {output.ndim} "
                               "dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
        found = run.grouped(run.back([output], [output.new_ones(())], retain_graph=run.outside), argnums)
        return found, (run.result(), run.aux) if has_aux else run.result()
    return gradient_and_value


def vjp(func, *primals, has_aux=False):
    """(func(*primals), a function from cotangents of the result to gradients of the primals)
    (https://docs.pytorch.org/docs/stable/generated/torch.func.vjp.html); with `has_aux`, also what `func` returned beside its result.

    >>> y, back = torch.func.vjp(torch.sin, torch.zeros(2))
    >>> back(torch.tensor([1.0, 2.0]))
    (tensor([1., 2.]),)
    """
    run = Run("vjp(f, *primals)", func, primals, range(len(primals)), has_aux)

    def back(cotangents, retain_graph=True, create_graph=None):
        leaves, structure = trees.flatten(cotangents)
        if structure != run.structure:
            raise RuntimeError("Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function.")
        return run.grouped(run.back(run.outputs, leaves, retain_graph, create_graph), ())

    return (run.result(), back, run.aux) if has_aux else (run.result(), back)


# Tangents ------------------------------------------------------------------------------------------------------------

def _checked_tangents(name, primals, tangents):
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{name}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    leaves, structure = trees.flatten(primals)
    along, form = trees.flatten(tangents)
    if structure != form:
        raise RuntimeError(f"{name}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple "
                           "of 3 tensors, tangents also must be.")
    if not leaves:
        raise RuntimeError(f"{name}: Expected primals to contain at least one Tensor.")
    for what, values in (("primals", leaves), ("tangents", along)):
        for value in values:
            if not isinstance(value, Tensor):
                raise RuntimeError(f"{name}: Expected {what} to only contain Tensors, got {type(value)}")
    for primal, tangent in zip(leaves, along):
        if primal.shape != tangent.shape:
            raise RuntimeError(f"{name}: Expected a tangent of the shape of its primal, {tuple(primal.shape)}, got {tuple(tangent.shape)}")
    return along


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """(func(*primals), its derivative along `tangents`) (https://docs.pytorch.org/docs/stable/generated/torch.func.jvp.html); with
    `has_aux`, also what `func` returned beside its result.

    >>> torch.func.jvp(torch.sin, (torch.zeros(2),), (torch.tensor([1.0, 2.0]),))
    (tensor([0., 0.]), tensor([1., 2.]))
    """
    along = _checked_tangents("jvp(f, primals, tangents)", primals, tangents)
    run = Run("jvp(f, primals, tangents)", func, primals, range(len(primals)), has_aux)
    if strict and not all(y.requires_grad for y in run.outputs):
        raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed "
                           "with strict=True.")
    moved = trees.build(run.structure, run.pushforward()(along))
    return (run.result(), moved, run.aux) if has_aux else (run.result(), moved)


def linearize(func, *primals):
    """(func(*primals), the linear function of tangents that `jvp` gives at this place).

    >>> y, push = torch.func.linearize(torch.sin, torch.zeros(2))
    >>> push(torch.ones(2))
    tensor([1., 1.])
    """
    run = Run("linearize(f, *primals)", func, primals, range(len(primals)))
    push = run.pushforward()
    return run.result(), lambda *tangents: trees.build(run.structure, push(_checked_tangents("linearize", primals, tangents)))


# Jacobians -----------------------------------------------------------------------------------------------------------

def _units(x):
    """The unit vectors of the space of `x`."""
    return eye(x.numel(), dtype=x.dtype, device=x.device).reshape(x.numel(), *x.shape)


def rows_of(run, y):
    """For each input, dy/dx of shape (*y.shape, *x.shape), by one walk back for each element of `y`."""
    if not y.requires_grad or not y.numel():
        return [x.new_zeros((*y.shape, *x.shape)) for x in run.inputs]
    units = _units(y)
    rows = [run.back([y], [units[i]]) for i in rounds(y.numel())]
    return [stack(parts).reshape(*y.shape, *x.shape) for x, parts in zip(run.inputs, zip(*rows))]


def _columns_of(run):
    """[for each output, [for each input, dy/dx of shape (*y.shape, *x.shape)]], by one push forward for each element of the inputs."""
    push = run.pushforward()
    still = [zeros_like(x.detach()) for x in run.inputs]
    found = [[] for _ in run.outputs]
    for place, x in enumerate(run.inputs):
        units = _units(x)
        pushed = [push([*still[:place], units[i], *still[place + 1:]]) for i in rounds(x.numel())]
        for number, y in enumerate(run.outputs):
            columns = [moved[number] for moved in pushed]
            found[number].append(stack(columns, -1).reshape(*y.shape, *x.shape) if columns else y.new_zeros((*y.shape, *x.shape)))
    return found


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None):
    """The Jacobian of `func` with respect to the arguments `argnums`, of shape (*output.shape, *input.shape), made row by row: for
    functions with more inputs than outputs (https://docs.pytorch.org/docs/stable/generated/torch.func.jacrev.html).

    >>> torch.func.jacrev(torch.sin)(torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def jacobian(*args, **kwargs):
        run = Run("jacrev(f)(*args)", lambda *a: func(*a, **kwargs), args, _numbers(argnums, len(args)), has_aux)
        made = trees.build(run.structure, [run.grouped(rows_of(run, y), argnums) for y in run.outputs])
        return (made, run.aux) if has_aux else made
    return jacobian


def jacfwd(func, argnums=0, has_aux=False, *, chunk_size=None, randomness="error"):
    """As `jacrev`, made column by column: for functions with more outputs than inputs
    (https://docs.pytorch.org/docs/stable/generated/torch.func.jacfwd.html).

    >>> torch.func.jacfwd(torch.sin)(torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    @functools.wraps(func)
    def jacobian(*args, **kwargs):
        run = Run("jacfwd(f)(*args)", lambda *a: func(*a, **kwargs), args, _numbers(argnums, len(args)), has_aux)
        made = trees.build(run.structure, [run.grouped(columns, argnums) for columns in _columns_of(run)])
        return (made, run.aux) if has_aux else made
    return jacobian


def hessian(func, argnums=0):
    """The second derivatives of `func`: jacfwd(jacrev(func)) (https://docs.pytorch.org/docs/stable/generated/torch.func.hessian.html).

    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def functionalize(func, *, remove="mutations"):
    """`func` itself: PyTorch rewrites in-place operations here for its compilers, and Rushlight's recorder does so for every call."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are:\n     "
                           "remove='mutations': all inplace and out= operators will be removed from the program, and replaced with their "
                           "out-of-place equivalents.\n     remove='mutations_and_views': In addition to the above, all aliasing operators "
                           "{view} will be replaced with their non-aliasing counterparts, {view}_copy.\n")
    return func
