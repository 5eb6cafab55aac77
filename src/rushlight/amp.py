"""torch.amp: mixed precision.  Within `autocast`, products of matrices and convolutions compute in a narrower dtype, and what needs the
range of float32 is given it.

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(model(x), y)             linear layers in bfloat16, the loss in float32

Which operators compute in which dtype is PyTorch's list for the CPU: https://docs.pytorch.org/docs/stable/amp.html
"""
import functools
import threading

from ._paths import open_below
from .ir import dtypes
from .overrides import TorchFunctionMode
from .tensors.tensor import Tensor

_NARROW = frozenset("""conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d bmm mm baddbmm addmm addbmm linear matmul mv
    chain_matmul multi_dot scaled_dot_product_attention __matmul__ __rmatmul__ einsum""".split())
_WIDE = frozenset("""avg_pool3d binary_cross_entropy grid_sample polar multilabel_margin_loss fft_fft fft_ifft cdist mse_loss
    cosine_embedding_loss nll_loss hinge_embedding_loss poisson_nll_loss smooth_l1_loss cross_entropy l1_loss huber_loss margin_ranking_loss
    soft_margin_loss triplet_margin_loss multi_margin_loss ctc_loss kl_div multilabel_soft_margin_loss binary_cross_entropy_with_logits
    replication_pad1d replication_pad2d replication_pad3d quantile nanquantile cumprod cholesky det inv lstsq pinv qr svd eigh eigvalsh
    logdet slogdet matrix_rank norm""".split())
_WIDEST = frozenset("cat stack index_copy".split())
_here = threading.local()


class _Mode(TorchFunctionMode):
    def __init__(self, dtype):
        self.dtype = dtype

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if getattr(_here, "dtype", None) is None:
            return func(*args, **kwargs)
        if name in _NARROW:
            to = self.dtype
        elif name in _WIDE:
            to = dtypes.float32
        elif name in _WIDEST:
            found = {t.dtype for t in _tensors((args, kwargs))}
            to = dtypes.float32 if dtypes.float32 in found and len(found) > 1 else None
        else:
            to = None
        if to is not None:
            args, kwargs = _cast(args, to), _cast(kwargs, to)
            with _nothing_cast():  # what the operator is made of computes in the dtype it was given
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _tensors(tree):
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list, dict)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(part)


def _cast(tree, dtype):
    """The floating tensors in a tree of arguments in another dtype; float64 stays."""
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.dtype.kind == "f" and tree.dtype not in (dtype, dtypes.float64) else tree
    if isinstance(tree, dict):
        return {name: _cast(part, dtype) for name, part in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_cast(part, dtype) for part in tree)
    return tree


class _nothing_cast:
    def __enter__(self):
        self.before, _here.dtype = getattr(_here, "dtype", None), None

    def __exit__(self, *_):
        _here.dtype = self.before


class autocast:
    """A context, or a decorator, in which operators compute in the dtype that suits them.

    device_type: "cpu" ("cuda" is accepted and does nothing, since there is none)
    dtype: bfloat16 (the default) or float16
    enabled: False leaves everything as it is, also within another autocast
    cache_enabled: taken, and changes nothing: no cast is kept from one call to the next
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in ("cpu", "cuda"):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
        self.device, self.fast_dtype = device_type, dtype or dtypes.bfloat16
        if self.fast_dtype not in (dtypes.bfloat16, dtypes.float16):
            enabled = False
        self._enabled = enabled and device_type == "cpu"
        self._entered = []

    def __enter__(self):
        before = getattr(_here, "dtype", None)
        mode = _Mode(self.fast_dtype).__enter__() if self._enabled else None
        self._entered.append((before, mode))
        if self.device == "cpu":
            _here.dtype = self.fast_dtype if self._enabled else None
        return self

    def __exit__(self, *error):
        before, mode = self._entered.pop()
        _here.dtype = before
        if mode is not None:
            mode.__exit__(*error)

    def __call__(self, function):
        @functools.wraps(function)
        def decorated(*args, **kwargs):
            with self:
                return function(*args, **kwargs)
        return decorated


def is_autocast_enabled(device_type="cpu"):
    """Whether an autocast for this kind of device is in force."""
    return device_type == "cpu" and getattr(_here, "dtype", None) is not None


def get_autocast_dtype(device_type="cpu"):
    """The narrower dtype of the autocast in force, or the default."""
    if device_type != "cpu":
        return dtypes.float16
    return getattr(_here, "dtype", None) or dtypes.bfloat16


def is_autocast_cpu_enabled():
    """Whether an autocast for the CPU is in force."""
    return is_autocast_enabled("cpu")


def get_autocast_cpu_dtype():
    """The narrower dtype on the CPU."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype():
    """The narrower dtype on a GPU: float16."""
    return get_autocast_dtype("cuda")


def is_autocast_cache_enabled():
    """Whether autocast may keep what it cast: yes, as PyTorch says by default."""
    return True


def is_autocast_available(device_type):
    """Whether `autocast` knows this kind of device."""
    return device_type in ("cpu", "cuda")


def custom_fwd(fwd=None, *, device_type="cpu", cast_inputs=None):
    """For `Function.forward`: floating arguments in `cast_inputs`, if given, and no autocast within."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args, **kwargs):
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))
    return decorated


def custom_bwd(bwd=None, *, device_type="cpu"):
    """For `Function.backward`: runs as it is; backward is never autocast here."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd


class GradScaler:
    """Scales a loss so that small gradients survive float16, and skips steps whose gradients are not finite.
    https://docs.pytorch.org/docs/stable/amp.html#torch.amp.GradScaler

        scaler.scale(loss).backward()
        scaler.step(optimizer)         unscales the gradients and steps, unless one is infinite or NaN
        scaler.update()                halves the scale after a skipped step, doubles it after `growth_interval` good ones
    """

    def __init__(self, device="cuda", init_scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, enabled=True):
        self._enabled = enabled and str(device) == "cpu"
        if self._enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if self._enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale, self._growth, self._backoff, self._interval = float(init_scale), growth_factor, backoff_factor, growth_interval
        self._good_steps, self._found = 0, {}

    def is_enabled(self):
        """Whether it does anything."""
        return self._enabled

    def get_scale(self):
        """What losses are multiplied with."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs):
        """Losses times the scale: a tensor, or a list or tuple of them."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        return type(outputs)(self.scale(x) for x in outputs)

    def unscale_(self, optimizer):
        """Divide the gradients of the optimizer's parameters by the scale.  RuntimeError when that was done since the last `update`."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        finite = True
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.mul_(1.0 / self._scale)
                    finite = finite and bool(p.grad.isfinite().all())
        self._found[id(optimizer)] = not finite

    def step(self, optimizer, *args, **kwargs):
        """`optimizer.step()`, unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale=None):
        """The scale for the next step, from what was found in this one."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif any(self._found.values()):
            self._scale, self._good_steps = self._scale * self._backoff, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._interval:
                self._scale, self._good_steps = self._scale * self._growth, 0
        self._found = {}

    def state_dict(self):
        """What has to be saved to go on later."""
        if not self._enabled:
            return {}
        return {"scale": self._scale, "growth_factor": self._growth, "backoff_factor": self._backoff, "growth_interval": self._interval,
                "_growth_tracker": self._good_steps}

    def load_state_dict(self, state_dict):
        """Go on from a saved state."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.")
        self._scale, self._growth, self._backoff, self._interval, self._good_steps = (
            state_dict[n] for n in ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"))


__getattr__ = open_below(__name__)
