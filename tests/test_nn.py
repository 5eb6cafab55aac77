"""What users of nn.Module rely on; numbers after a seed are PyTorch's."""
import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import hooks as global_hooks


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc(x) * self.scale


def values(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------------------------------------------------------------
# Registering

def test_what_is_assigned_is_registered_under_its_name():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["scale", "fc.weight", "fc.bias"]
    assert [name for name, _ in net.named_buffers()] == ["count", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "fc"]
    assert net.get_parameter("fc.bias") is net.fc.bias and net.get_submodule("fc") is net.fc and net.get_buffer("count") is net.count


def test_a_shared_parameter_is_named_once_unless_duplicates_are_asked_for():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)] == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_attributes_follow_the_registry_also_when_it_is_changed_by_hand():
    net = Net()
    other = nn.Parameter(torch.zeros(2))
    net._parameters["scale"] = other
    assert net.scale is other
    del net._parameters["scale"]
    assert not hasattr(net, "scale")
    net._parameters = {"shift": other}
    assert net.shift is other and list(net._parameters) == ["shift"]


def test_an_attribute_that_becomes_a_parameter_is_no_buffer_any_more():
    net = Net()
    net.count = nn.Parameter(torch.ones(1))
    assert "count" in net._parameters and "count" not in net._buffers
    del net.count
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'count'"):
        print(net.count)


def test_a_wrapper_can_hand_attributes_on():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)
    wrapper = Wrapper(nn.Linear(2, 3))
    assert wrapper.in_features == 2 and wrapper.weight is wrapper.inner.weight
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'nothing'"):
        print(wrapper.nothing)


@pytest.mark.parametrize("action, error, message", [
    (lambda net: setattr(net, "scale", torch.ones(2)), TypeError, r"as parameter 'scale' \(torch.nn.Parameter or None expected\)"),
    (lambda net: setattr(net, "fc", 3), TypeError, r"cannot assign 'int' as child module 'fc' \(torch.nn.Module or None expected\)"),
    (lambda net: setattr(net, "count", 3), TypeError, r"cannot assign 'int' as buffer 'count' \(torch.nn.Buffer, torch.Tensor or None expected\)"),
    (lambda net: net.register_parameter("a.b", None), KeyError, "parameter name can.*t contain"),
    (lambda net: net.register_parameter("fc", None), KeyError, "attribute 'fc' already exists"),
    (lambda net: net.add_module("x", 3), TypeError, "int is not a Module subclass"),
    (lambda net: net.get_submodule("fc.nothing"), AttributeError, "Linear has no attribute `nothing`"),
    (lambda net: net.to(torch.int64), TypeError, "nn.Module.to only accepts floating point or complex dtypes"),
    (lambda net: nn.Module()(1), NotImplementedError, r'Module \[Module\] is missing the required "forward" function'),
])
def test_a_wrong_use_of_a_module_is_named(action, error, message):
    with pytest.raises(error, match=message):
        action(Net())


def test_assigning_before_init_is_an_error():
    class Early(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)
    with pytest.raises(AttributeError, match="cannot assign module before Module.__init__"):
        Early()


def test_a_dropped_module_is_freed_at_once():
    gc.disable()
    try:
        net = Net()
        weight = weakref.ref(net.fc.weight)
        del net
        assert weight() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------------------------------
# Saving and loading

def test_a_state_dict_holds_parameters_and_persistent_buffers_in_order():
    assert list(Net().state_dict()) == ["scale", "count", "fc.weight", "fc.bias"]
    assert list(Net().state_dict(prefix="net.")) == ["net.scale", "net.count", "net.fc.weight", "net.fc.bias"]


def test_loading_copies_into_the_parameters_that_are_there():
    source, target = Net(), Net()
    weight = target.fc.weight
    assert str(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target.fc.weight is weight
    np.testing.assert_array_equal(values(weight), values(source.fc.weight))


def test_loading_with_assign_takes_the_tensors_themselves():
    target, saved = Net(), {name: tensor.clone() for name, tensor in Net().state_dict().items()}
    target.load_state_dict(saved, assign=True)
    assert isinstance(target.scale, nn.Parameter) and target.scale.data_ptr() == saved["scale"].data_ptr()


def test_all_mismatches_of_a_load_are_told_at_once():
    with pytest.raises(RuntimeError) as error:
        Net().load_state_dict({"scale": torch.ones(3), "count": torch.ones(1), "fc.bias": torch.ones(2), "fc.other": torch.ones(1)})
    assert str(error.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "fc.weight". \n'
        '\tUnexpected key(s) in state_dict: "fc.other". \n'
        "\tsize mismatch for scale: copying a param with shape torch.Size([3]) from checkpoint, the shape in current model is torch.Size([2]).")
    result = Net().load_state_dict({"count": torch.ones(1)}, strict=False)
    assert result.missing_keys == ["scale", "fc.weight", "fc.bias"] and result.unexpected_keys == []


def test_state_dict_hooks_run_around_saving_and_loading():
    net, seen = Net(), []
    net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append("pre"))
    net.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update(extra=1))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: state.pop("extra") and None)
    net.register_load_state_dict_post_hook(lambda module, keys: seen.append(list(keys.missing_keys)))
    state = net.state_dict()
    assert state["extra"] == 1
    net.load_state_dict(state)
    assert seen == ["pre", []]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"])
def test_a_copy_is_equal_and_apart(copied):
    net = Net().eval()
    other = copied(net)
    assert repr(other) == repr(net) and not other.training and type(other.scale) is nn.Parameter
    assert other.fc.weight is other.fc._parameters["weight"]
    with torch.no_grad():
        other.fc.weight.fill_(0)
    assert values(net.fc.weight).any() and not values(other.fc.weight).any()


# ---------------------------------------------------------------------------------------------------------------------
# Calling and hooks

def test_forward_hooks_run_in_order_and_replace_arguments_and_results():
    net, seen = nn.Identity(), []
    net.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    net.register_forward_hook(lambda module, args, output: seen.append((args, output)))
    handle = net.register_forward_hook(lambda module, args, output: output * 10)
    net.register_forward_hook(lambda module, args, output: seen.append("first"), prepend=True)
    assert net(1) == 20 and seen == ["first", ((2,), 2)]
    handle.remove()
    assert net(1) == 2


def test_hooks_with_keyword_arguments_see_and_replace_them():
    class Scale(nn.Module):
        def forward(self, x, by=1):
            return x * by
    net, seen = Scale(), []
    net.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": 5}), with_kwargs=True)
    net.register_forward_hook(lambda module, args, kwargs, output: seen.append((kwargs, output)), with_kwargs=True)
    assert net(2, by=3) == 10 and seen == [({"by": 5}, 10)]


def test_an_always_called_hook_runs_when_forward_raises():
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")
    net, seen = Broken(), []
    net.register_forward_hook(lambda module, args, output: seen.append("only on success"))
    net.register_forward_hook(lambda module, args, output: seen.append(output), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        net(1)
    assert seen == [None]


def test_global_hooks_see_every_module_until_removed():
    seen = []
    handle = global_hooks.register_module_forward_hook(lambda module, args, output: seen.append(type(module).__name__))
    net = nn.Sequential(nn.Identity(), nn.Identity())
    net(1)
    handle.remove()
    net(1)
    assert seen == ["Identity", "Identity", "Sequential"]


def test_backward_hooks_see_gradients_of_inputs_and_outputs_and_replace_them():
    net, seen = nn.Linear(2, 1, bias=False), []
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[2.0, 3.0]]))
    net.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((values(grad_input[0]).tolist(), values(grad_output[0]).tolist())))
    net.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 100,))
    x = torch.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert seen == [([[20.0, 30.0]], [[10.0]])]
    assert values(x.grad).tolist() == [[2000.0, 3000.0]] and values(net.weight.grad).tolist() == [[10.0, 10.0]]


# ---------------------------------------------------------------------------------------------------------------------
# Changing every tensor

def test_converting_a_module_changes_its_floating_point_tensors_in_place():
    net = Net()
    net.register_buffer("steps", torch.zeros(1, dtype=torch.int64))
    weight = net.fc.weight
    net.double()
    assert net.fc.weight is weight and weight.dtype == torch.float64 and net.count.dtype == torch.float64 and net.steps.dtype == torch.int64


def test_modes_and_gradients_are_set_for_the_whole_tree():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    assert not net.eval()[1].training and net.train()[1].training
    net(torch.ones(1, 2)).sum().backward()
    net.zero_grad()
    assert net[0].weight.grad is None
    assert not any(parameter.requires_grad for parameter in net.requires_grad_(False).parameters())


# ---------------------------------------------------------------------------------------------------------------------
# Containers and printing

def test_a_module_prints_as_the_tree_it_is():
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ModuleList([nn.ReLU(inplace=True), nn.Tanh(), nn.Tanh()]), nn.Dropout(0.1))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=4, out_features=3, bias=False)\n"
        "  (1): ModuleList(\n"
        "    (0): ReLU(inplace=True)\n"
        "    (1-2): 2 x Tanh()\n"
        "  )\n"
        "  (2): Dropout(p=0.1, inplace=False)\n"
        ")")


def test_a_sequential_is_edited_like_a_list():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b)
    net.append(c).insert(0, c)
    assert list(net) == [c, a, b, c] and list(net[1:3]) == [a, b]
    del net[0]
    assert list(net._modules) == ["0", "1", "2"] and net[-1] is c and net.pop(1) is b
    assert list(net + nn.Sequential(b)) == [a, c, b] and len(net * 2) == 4
    with pytest.raises(IndexError, match="index 7 is out of range"):
        net[7]


def test_lists_and_dictionaries_register_what_they_hold():
    net = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    net["c"] = nn.ParameterList([torch.ones(2), torch.ones(3)])
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "c.0", "c.1"]
    assert net.pop("b") is not None and "b" not in net
    assert repr(net["c"]) == ("ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
                              "    (1): Parameter containing: [torch.float32 of size 3]\n)")
    weights = nn.ParameterDict({"w": torch.ones(2)})
    assert isinstance(weights["w"], nn.Parameter) and list((weights | nn.ParameterDict({"v": torch.ones(1)})).keys()) == ["w", "v"]


# ---------------------------------------------------------------------------------------------------------------------
# Numbers after a seed, and layers against their formulas

@pytest.mark.parametrize("make, expected", [
    (lambda: nn.Linear(3, 2).weight, [[-0.004322517663240433, 0.3097158372402191, -0.4751853346824646],
                                      [-0.4248946011066437, -0.2223689705133438, 0.15482072532176971]]),
    (lambda: nn.init.xavier_normal_(torch.empty(2, 3)), [[0.9746115207672119, -0.18558073043823242, -1.3779873847961426],
                                                         [0.3595075011253357, -0.6859121322631836, -0.8845493793487549]]),
    (lambda: nn.init.kaiming_normal_(torch.empty(2, 3)), [[1.2582180500030518, -0.23958370089530945, -1.7789740562438965],
                                                          [0.4641222059726715, -0.8855087757110596, -1.1419483423233032]]),
    (lambda: nn.init.trunc_normal_(torch.empty(2, 3)), [[1.5409960746765137, -0.293428897857666, -0.7192575931549072],
                                                        [0.5684312582015991, -1.0845223665237427, -1.3985954523086548]]),
    (lambda: nn.init.orthogonal_(torch.empty(2, 3)), [[0.5739809274673462, -0.10929460823535919, -0.8115421533584595],
                                                      [-0.3454151153564453, -0.9308826923370361, -0.11893554031848907]]),
    (lambda: nn.Embedding(3, 2, padding_idx=1).weight, [[1.5409960746765137, -0.293428897857666], [0.0, 0.0],
                                                        [-1.0845223665237427, -1.3985954523086548]]),
], ids=["Linear", "xavier_normal_", "kaiming_normal_", "trunc_normal_", "orthogonal_", "Embedding"])
def test_initial_numbers_are_pytorchs(make, expected):
    torch.manual_seed(0)
    np.testing.assert_allclose(values(make()), np.array(expected, np.float32), rtol=1e-6, atol=1e-7)


def test_initializers_that_draw_nothing():
    assert values(nn.init.eye_(torch.empty(2, 3))).tolist() == [[1, 0, 0], [0, 1, 0]]
    kernel = values(nn.init.dirac_(torch.empty(2, 2, 3)))
    assert kernel.sum() == 2 and kernel[0, 0, 1] == kernel[1, 1, 1] == 1
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx((2 / 1.04) ** 0.5)
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed"):
        nn.init.kaiming_uniform_(torch.empty(3))


def test_linear_layer_norm_and_embedding_compute_their_formulas():
    torch.manual_seed(1)
    x = torch.randn(5, 3)
    linear, norm, table = nn.Linear(3, 2), nn.LayerNorm(3), nn.Embedding(4, 2)
    np.testing.assert_allclose(values(linear(x)), values(x) @ values(linear.weight).T + values(linear.bias), rtol=1e-5, atol=1e-6)
    centred = values(x) - values(x).mean(1, keepdims=True)
    np.testing.assert_allclose(values(norm(x)), centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(values(table(torch.tensor([[3, 0]]))), values(table.weight)[[[3, 0]]])


@pytest.mark.parametrize("layer, formula", [
    (nn.ReLU(), lambda x: np.maximum(x, 0)),
    (nn.LeakyReLU(0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    (nn.ELU(2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
    (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
    (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    (nn.Tanh(), np.tanh),
    (nn.GELU("tanh"), lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    (nn.Softmax(dim=1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (nn.LogSoftmax(dim=1), lambda x: x - np.log(np.exp(x).sum(1, keepdims=True))),
], ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "")
def test_activations_compute_their_formulas(layer, formula):
    x = np.linspace(-3, 3, 14, dtype=np.float32).reshape(2, 7)
    np.testing.assert_allclose(values(layer(torch.from_numpy(x))), formula(x.astype(np.float64)), rtol=2e-5, atol=2e-6)


def test_losses_compute_their_formulas():
    torch.manual_seed(2)
    logits, classes = torch.randn(6, 4), torch.tensor([0, 3, 1, 2, 2, 0])
    log_softmax = values(logits) - np.log(np.exp(values(logits)).sum(1, keepdims=True))
    picked = -log_softmax[np.arange(6), values(classes)]
    assert nn.CrossEntropyLoss()(logits, classes).item() == pytest.approx(picked.mean(), rel=1e-5)
    assert nn.CrossEntropyLoss(reduction="sum")(logits, classes).item() == pytest.approx(picked.sum(), rel=1e-5)
    assert nn.NLLLoss()(nn.LogSoftmax(1)(logits), classes).item() == pytest.approx(picked.mean(), rel=1e-5)
    a, b = torch.rand(3, 4), torch.rand(3, 4)
    difference = values(a) - values(b)
    assert nn.MSELoss()(a, b).item() == pytest.approx((difference**2).mean(), rel=1e-5)
    assert nn.L1Loss()(a, b).item() == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert nn.MSELoss(size_average=False)(a, b).item() == pytest.approx((difference**2).sum(), rel=1e-5)


def test_dropout_drops_in_training_only():
    torch.manual_seed(0)
    layer, x = nn.Dropout(0.5), torch.ones(1000)
    dropped = values(layer(x))
    assert set(np.unique(dropped)) == {0.0, 2.0} and 400 < (dropped == 0).sum() < 600
    assert (values(layer.eval()(x)) == 1).all()


def test_gradients_are_clipped_together_or_one_by_one():
    a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    (a * torch.tensor([3.0, 0.0]) + b * 4.0).sum().backward()  # gradients 3, 0 and 8
    b.grad.mul_(0.5)
    assert nn.utils.clip_grad_norm_([a, b], 1.0).item() == pytest.approx(5.0)
    np.testing.assert_allclose(values(a.grad), [0.6, 0.0], rtol=1e-5)
    np.testing.assert_allclose(values(b.grad), [0.8], rtol=1e-5)
    nn.utils.clip_grad_value_([a, b], 0.7)
    np.testing.assert_allclose([*values(a.grad), *values(b.grad)], [0.6, 0.0, 0.7], rtol=1e-5)
    assert nn.utils.parameters_to_vector([a, b]).shape == (3,)


def test_layers_are_found_under_pytorchs_paths():
    from rushlight.nn.modules.batchnorm import _BatchNorm
    from rushlight.nn.modules.utils import _pair
    assert isinstance(nn.BatchNorm2d(1), _BatchNorm) and _pair(3) == (3, 3) and nn.modules.container.Sequential is nn.Sequential
    assert issubclass(nn.ConvTranspose1d, nn.modules.conv._ConvNd) and issubclass(nn.HuberLoss, nn.modules.loss._Loss)


def test_a_wrapped_model_is_saved_with_a_prefix_that_can_be_taken_off():
    net = nn.Linear(2, 1)
    saved = nn.DataParallel(net).state_dict()
    assert list(saved) == ["module.weight", "module.bias"]
    nn.modules.utils.consume_prefix_in_state_dict_if_present(saved, "module.")
    assert list(saved) == ["weight", "bias"] and str(net.load_state_dict(saved)) == "<All keys matched successfully>"


def test_compile_and_share_memory_are_accepted():
    net = nn.Linear(2, 1)
    net.compile(fullgraph=True)
    assert net.share_memory() is net and torch.compile(net) is not None and net(torch.ones(1, 2)).shape == (1, 1)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_samples_rows_that_sum_to_one_and_passes_gradients(hard):
    torch.manual_seed(0)
    x = torch.randn(5, 3, requires_grad=True)
    y = nn.functional.gumbel_softmax(x, tau=0.5, hard=hard)
    np.testing.assert_allclose(y.detach().sum(1).numpy(), 1, rtol=1e-5)
    assert (set(y.detach().numpy().ravel().round(6)) <= {0.0, 1.0}) is hard
    (y * torch.arange(3.0)).sum().backward()
    assert x.grad.abs().max() > 0 and abs(x.grad.sum(1)).max() < 1e-4  # along the simplex


def test_dropout_of_channels_warns_where_there_are_none():
    functional = torch.nn.functional
    for function, shape in ((functional.dropout2d, (3, 4)), (functional.dropout2d, (3, 4, 5)), (functional.dropout3d, (3, 4))):
        with pytest.warns(UserWarning, match=function.__name__):
            function(torch.ones(shape))


@pytest.mark.parametrize("width", [13, 14])
def test_what_a_kernel_keeps_of_several_rows_is_not_written_over(width):
    """Rows of 14 x 15 are walked one by one: the last vector of the last one reaches beyond them all."""
    torch.manual_seed(49)
    net = nn.Sequential(nn.Conv2d(5, 4, 1, padding=1), nn.BatchNorm2d(4), nn.Mish(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 7))
    net.double()
    x = torch.randn(3, 5, 12, width, dtype=torch.float64)
    nn.functional.cross_entropy(net(x), torch.tensor([1, 4, 2])).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    assert net[0].bias.grad.abs().max().item() < 1e-14, "what is added to a channel, its mean takes away"
