"""`__torch_function__`: subclasses, modes and tensor-like classes take calls over as they do on PyTorch."""
import copy
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight.overrides import (
    TorchFunctionMode,
    handle_torch_function,
    has_torch_function,
    is_tensor_like,
)

DisableTorchFunctionSubclass = getattr(torch._C, "DisableTorchFunctionSubclass", None) if hasattr(torch, "_C") else None
if DisableTorchFunctionSubclass is None:
    from rushlight.overrides import DisableTorchFunctionSubclass


class Wrapped(torch.Tensor):
    """A subclass that changes nothing."""


class Logged(torch.Tensor):
    """A subclass that notes the names of the functions it sees."""

    seen = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(getattr(func, "__name__", str(func)))
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.fixture
def seen():
    Logged.seen.clear()
    return Logged.seen


def logged(*data):
    return torch.tensor(data).as_subclass(Logged)


# ---------------------------------------------------------------------------------------------------------------------
# Subclasses

def test_results_are_of_the_subclass():
    x = torch.ones(2, 3).as_subclass(Wrapped)
    for y in (x + 1, 1 + x, x * x, torch.exp(x), x[0], x.view(3, 2), x.sum(), x.t(), x.mean(0), torch.cat([x, x]), torch.stack([torch.ones(2, 3), x]),
              x.clone(), x.to(torch.float64), x.detach(),
              torch.std(x), x.reshape(-1), x.unsqueeze(0), torch.zeros_like(x), x > 0, x.softmax(0), torch.where(x > 0, x, x)):
        assert type(y) is Wrapped


def test_several_results_are_each_of_the_subclass():
    x = torch.arange(6.0).view(2, 3).as_subclass(Wrapped)
    found = x.max(dim=1)
    assert type(found.values) is Wrapped and type(found.indices) is Wrapped and type(found).__name__ == "max"
    assert all(type(p) is Wrapped for p in x.split(1)) and all(type(p) is Wrapped for p in torch.unbind(x))
    assert all(type(row) is Wrapped for row in x)


def test_what_is_no_tensor_stays_what_it_is():
    x = torch.ones(2).as_subclass(Wrapped)
    assert x.shape == (2,) and x.tolist() == [1, 1] and x.sum().item() == 2 and len(x) == 2 and x.dtype is torch.float32 and x.numel() == 2
    assert isinstance(x.numpy(), np.ndarray) and bool(x[0] == 1) and float(x[0]) == 1 and x.dim() == 1 and x.size(0) == 2 and x.stride() == (1,)
    assert 1.0 in x and repr(x).startswith("Wrapped(") and f"{x[0].item():.1f}" == "1.0"


def test_a_subclass_is_made_by_calling_it():
    x = Wrapped([1.0, 2.0])
    assert type(x) is Wrapped and x.tolist() == [1, 2] and isinstance(x, torch.Tensor)


def test_a_subclass_with_an_init_of_its_own():
    class Named(torch.Tensor):
        @staticmethod
        def __new__(cls, data, name):
            return torch.Tensor._make_subclass(cls, torch.as_tensor(data))

        def __init__(self, data, name):
            self.name = name

    x = Named([1.0, 2.0], "x")
    assert x.name == "x" and type(x + 1) is Named and not hasattr(x + 1, "name")


def test_attributes_stay_with_their_tensor():
    x = torch.ones(2).as_subclass(Wrapped)
    x.note = "mine"
    y = x.add_(1)
    assert y is x and x.note == "mine" and x.tolist() == [2, 2]


def test_overriding_sees_functions_and_methods_by_their_own_names(seen):
    x = logged(1.0, 2.0)
    _ = x + 1, torch.exp(x), x.sum(), x.view(2, 1), torch.std(x), x.max(), torch.cat([x]), x.softmax(0)
    assert [s for s in seen if not s.startswith("__get")] == ["add", "exp", "sum", "view", "std", "max", "cat", "softmax"]


def test_each_call_is_asked_about_once(seen):
    x = logged(1.0, 2.0)
    for call in (lambda: torch.std(x), lambda: torch.var_mean(x), lambda: torch.nn.functional.cross_entropy(x, torch.tensor(0)), lambda: x.flatten(),
                 lambda: torch.nn.functional.gelu(x), lambda: torch.median(x), lambda: torch.einsum("i,i->", x, x), lambda: torch.allclose(x, x),
                 lambda: x.repeat(2), lambda: torch.hstack([x, x]), lambda: torch.norm(x), lambda: torch.topk(x, 1),
                 lambda: torch.nn.functional.dropout(x), lambda: torch.unique(x)):
        seen.clear()
        call()
        assert len(seen) == 1, seen


def test_the_function_given_is_the_one_that_users_name():
    asked = []

    class Asking(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(func)
            return None

    x = torch.ones(2).as_subclass(Asking)
    torch.add(x, 1), torch.std(x), x.sum(), torch.nn.functional.relu(x), torch.nn.functional.cross_entropy(x, x), x.view(1, 2), torch.max(x)
    assert asked == [torch.add, torch.std, torch.Tensor.sum, torch.nn.functional.relu, torch.nn.functional.cross_entropy, torch.Tensor.view, torch.max]


def test_arguments_arrive_as_they_were_given():
    class Asking(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return args, kwargs, types

    x = torch.ones(2).as_subclass(Asking)
    args, kwargs, types = torch.sum(x, dim=0, keepdim=True)
    assert args[0] is x and kwargs == {"dim": 0, "keepdim": True} and set(types) == {Asking}
    args, kwargs, types = torch.std(x, 0, unbiased=False)
    assert args[0] is x and args[1:] == (0,) and kwargs == {"unbiased": False}
    args, kwargs, types = torch.add(torch.ones(2), x, alpha=2)
    assert args[1] is x and kwargs == {"alpha": 2} and set(types) == {Asking}


def test_not_implemented_lets_the_next_class_answer():
    class No(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    class Yes(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "yes"

    no, yes = torch.ones(1).as_subclass(No), torch.ones(1).as_subclass(Yes)
    assert torch.add(no, yes) == "yes" and torch.add(yes, no) == "yes"
    with pytest.raises(TypeError, match="[Nn]o implementation found for.*add"):
        torch.add(no, no)
    with pytest.raises(TypeError, match="[Nn]o implementation found"):
        torch.std(no)


def test_a_sub_subclass_is_asked_first_wherever_it_stands():
    order = []

    class Base(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            order.append(cls.__name__)
            return NotImplemented

    class Derived(Base):
        pass

    class Other(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            order.append(cls.__name__)
            return NotImplemented

    base, derived, other = (torch.ones(1).as_subclass(c) for c in (Base, Derived, Other))
    with pytest.raises(TypeError):
        torch.add(base, derived)
    assert order == ["Derived", "Base"]
    order.clear()
    with pytest.raises(TypeError):
        torch.stack([other, base, derived])
    assert order == ["Other", "Derived", "Base"]


def test_unrelated_subclasses_do_not_mix_by_default():
    class One(torch.Tensor):
        pass

    class Two(torch.Tensor):
        pass

    with pytest.raises(TypeError):
        torch.add(torch.ones(1).as_subclass(One), torch.ones(1).as_subclass(Two))


def test_a_derived_class_wins_over_its_base_in_the_result():
    class Derived(Wrapped):
        pass

    a, b = torch.ones(1).as_subclass(Wrapped), torch.ones(1).as_subclass(Derived)
    assert type(a + b) is Derived and type(b + a) is Derived and type(torch.add(a, a)) is Wrapped


def test_parameters_and_buffers_are_plain():
    p = torch.nn.Parameter(torch.ones(2))
    assert type(p * 2) is torch.Tensor and not has_torch_function((p,)) and type(p.detach()) is torch.Tensor
    x = torch.ones(2).as_subclass(Wrapped)
    assert type(p + x) is Wrapped and type(x + p) is Wrapped


def test_a_parameter_may_hold_a_tensor_of_a_subclass():
    p = torch.nn.Parameter(torch.ones(2).as_subclass(Wrapped))
    assert isinstance(p, torch.nn.Parameter) and p.requires_grad and type(p.data) is Wrapped


def test_networks_take_tensors_of_a_subclass(seen):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    y = net(torch.ones(4, 2).as_subclass(Logged))
    assert type(y) is Logged and [s for s in seen if not s.startswith("__")][:2] == ["linear", "relu"]
    y.sum().backward()
    assert net[0].weight.grad is not None


def test_in_place_and_out_write_to_the_tensor_itself():
    x = torch.zeros(3).as_subclass(Wrapped)
    plain = torch.zeros(3)
    x += 1
    x[0] = 5
    x.mul_(2)
    assert type(x) is Wrapped and x.tolist() == [10, 2, 2]
    plain.add_(x)
    assert type(plain) is torch.Tensor and plain.tolist() == [10, 2, 2]
    torch.add(x, 1, out=plain)
    assert plain.tolist() == [11, 3, 3]
    torch.add(plain, 1, out=x)
    assert x.tolist() == [12, 4, 4]
    x.zero_().fill_(3).copy_(torch.ones(3))
    assert x.tolist() == [1, 1, 1]


def test_as_subclass_shares_memory_and_history():
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).as_subclass(Wrapped)
    (y * 3).sum().backward()
    assert x.grad.tolist() == [6, 6, 6] and type(x.grad) is torch.Tensor
    a = torch.zeros(2)
    b = a.as_subclass(Wrapped)
    a.add_(1)
    assert b.tolist() == [1, 1]
    b.add_(1)
    assert a.tolist() == [2, 2]


def test_gradients_arrive_at_leaves_of_a_subclass():
    x = torch.ones(2).as_subclass(Wrapped).requires_grad_()
    (x * x).sum().backward()
    assert x.is_leaf and x.grad.tolist() == [2, 2]
    g, = torch.autograd.grad((x ** 3).sum(), x)
    assert g.tolist() == [3, 3]
    seen = []
    y = x * 2
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    y.sum().backward()
    assert seen == [[1, 1]]
    assert y.requires_grad and y.grad_fn is not None and not y.is_leaf and not y.detach().requires_grad


def test_make_subclass_detaches_and_asks_for_gradients():
    x = torch.ones(2, requires_grad=True) * 2
    made = torch.Tensor._make_subclass(Wrapped, x)
    assert type(made) is Wrapped and not made.requires_grad and made.is_leaf
    made = torch.Tensor._make_subclass(Wrapped, torch.ones(2), True)
    assert made.requires_grad and made.is_leaf


class Picklable(torch.Tensor):
    pass


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "copy", "pickle"])
def test_copies_are_of_the_same_class_with_the_same_attributes(again):
    x = torch.arange(3.0).as_subclass(Picklable)
    x.note = [1, 2]
    made = again(x)
    assert type(made) is Picklable and made.tolist() == [0, 1, 2] and made.note == [1, 2] and made is not x
    assert type(made + 1) is Picklable
    if again is not copy.copy:
        made.add_(1)
        assert x.tolist() == [0, 1, 2]


def test_within_disable_subclasses_are_plain(seen):
    x = logged(1.0, 2.0)
    with DisableTorchFunctionSubclass():
        y = x + 1
        z = torch.std(x)
    assert type(y) is torch.Tensor and type(z) is torch.Tensor and not seen
    assert type(x + 1) is Logged


def test_a_class_can_opt_out():
    class Quiet(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    x = torch.ones(2).as_subclass(Quiet)
    assert type(x) is Quiet and type(x + 1) is torch.Tensor and not has_torch_function((x,))


def test_super_is_the_default():
    class Doubling(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            result = super().__torch_function__(func, types, args, kwargs or {})
            return result * 2 if func is torch.exp else result

    x = torch.zeros(2).as_subclass(Doubling)
    assert torch.exp(x).tolist() == [2, 2] and (x + 1).tolist() == [1, 1] and type(torch.exp(x)) is Doubling


# ---------------------------------------------------------------------------------------------------------------------
# Classes that are no tensors

class Duck:
    """What PyTorch's documentation calls a tensor-like."""

    handled = {}

    def __init__(self, n, value):
        self.n, self.value = n, value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in cls.handled or not all(issubclass(t, (torch.Tensor, Duck)) for t in types):
            return NotImplemented
        return cls.handled[func](*args, **(kwargs or {}))


def test_a_class_that_is_no_tensor_takes_functions_over():
    Duck.handled = {torch.mean: lambda x: x.value / x.n, torch.add: lambda x, other: ("sum", x, other), torch.std: lambda x, dim=None: ("std", dim),
                    torch.cat: lambda parts, dim=0: ("cat", len(parts), dim), torch.nn.functional.linear: lambda x, w, b=None: "linear",
                    torch.max: lambda x: "max", torch.nn.functional.cross_entropy: lambda x, y: "loss", torch.einsum: lambda text, *x: text,
                    torch.flatten: lambda x: "flat", torch.reshape: lambda x, shape: shape, torch.where: lambda *a: "where"}
    x = Duck(5, 10)
    assert torch.mean(x) == 2 and torch.std(x, dim=1) == ("std", 1) and torch.std(x) == ("std", None) and torch.max(x) == "max" and torch.flatten(x) == "flat"
    assert torch.add(x, torch.ones(1))[0] == "sum" and torch.add(torch.ones(1), x)[0] == "sum" and torch.cat([torch.ones(1), x], dim=1) == ("cat", 2, 1)
    assert torch.nn.functional.linear(x, torch.ones(1)) == "linear" and torch.nn.functional.cross_entropy(x, torch.tensor(1)) == "loss"
    assert torch.einsum("i->", x) == "i->" and torch.reshape(x, (1,)) == (1,) and torch.where(x, 1, 2) == "where"
    with pytest.raises(TypeError, match="[Nn]o implementation found for.*exp"):
        torch.exp(x)
    with pytest.raises(TypeError, match="[Nn]o implementation found for.*var"):
        torch.var(x)


def test_an_operator_with_a_tensor_lets_the_other_class_answer():
    class Other:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__

        def __radd__(self, other):
            return "radd"

    assert torch.ones(1) + Other() in ("add", "__add__", "radd")
    assert torch.mul(torch.ones(1), Other()) == "mul"


def test_is_tensor_like_and_has_torch_function():
    assert is_tensor_like(torch.ones(1)) and is_tensor_like(Duck(1, 2)) and not is_tensor_like(5)
    assert has_torch_function((1, Duck(1, 2))) and has_torch_function((logged(1.0),)) and not has_torch_function((torch.ones(1), 5))


def test_users_functions_ask_too():
    def mine(x, scale=2):
        if has_torch_function((x,)):
            return handle_torch_function(mine, (x,), x, scale=scale)
        return x * scale

    class Asking(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__, kwargs

    assert mine(torch.ones(1).as_subclass(Asking), scale=3) == ("mine", {"scale": 3}) and mine(torch.ones(1)).item() == 2


# ---------------------------------------------------------------------------------------------------------------------
# Modes

class Noting(TorchFunctionMode):
    def __init__(self, name="", notes=None):
        super().__init__()
        self.name, self.notes = name, [] if notes is None else notes

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.notes.append(self.name + getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


def test_a_mode_sees_every_call_once():
    x = torch.ones(3)
    with Noting() as mode:
        _ = torch.zeros(2), x + 1, x.std(), torch.nn.functional.softplus(x), torch.tensor([1.0]), torch.arange(3), x.view(3, 1), torch.rand(2)
        _ = torch.cat([x, x])
    assert [n for n in mode.notes if not n.startswith("__get")] == ["zeros", "add", "std", "softplus", "tensor", "arange", "view", "rand", "cat"]
    x + 1
    assert len([n for n in mode.notes if not n.startswith("__get")]) == 9


def test_modes_nest_and_the_inner_is_asked_first():
    notes = []
    with Noting("outer ", notes), Noting("inner ", notes):
        torch.exp(torch.ones(1).detach())
    assert notes[-2:] == ["inner exp", "outer exp"]


def test_a_mode_comes_before_a_subclass(seen):
    x = logged(1.0)
    with Noting() as mode:
        y = torch.exp(x)
    assert mode.notes[-1] == "exp" and seen[-1] == "exp" and type(y) is Logged


def test_a_mode_may_answer_itself():
    class Zero(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return 0 if func is torch.exp else func(*args, **(kwargs or {}))

    with Zero():
        assert torch.exp(torch.ones(1)) == 0 and torch.add(torch.ones(1), 1).item() == 2
    assert torch.exp(torch.zeros(1)).item() == 1


def test_an_exception_leaves_no_mode_behind():
    class Failing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        with Failing():
            torch.ones(1)
    assert (torch.ones(1) + 1).item() == 2


def test_with_a_mode_training_goes_on():
    net = torch.nn.Linear(2, 1)
    with Noting() as mode:
        loss = net(torch.ones(3, 2)).pow(2).mean()
        loss.backward()
    assert net.weight.grad is not None and "linear" in mode.notes and "backward" in mode.notes


def test_devices_are_contexts_for_what_is_made():
    with torch.device("cpu"):
        assert torch.ones(2).device == torch.device("cpu") and torch.nn.Linear(2, 2).weight.device.type == "cpu" and torch.tensor([1]).device.type == "cpu"
    torch.set_default_device("cpu")
    assert torch.ones(1).device.type == "cpu" and torch.get_default_device().type == "cpu"
    torch.set_default_device(None)
    assert torch.get_default_device().type == "cpu"


def test_types_are_those_that_take_calls_over():
    class Types(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.types = types
            return func(*args, **(kwargs or {}))

    with Types() as mode:
        torch.add(torch.ones(1), 1)
        assert tuple(mode.types) == ()
        torch.add(torch.ones(1), logged(1.0))
    assert tuple(mode.types) == (Logged,)
