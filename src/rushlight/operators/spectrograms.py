"""Windows (torch.hann_window, torch.signal.windows) and short-time Fourier transforms.

    stft    x  ->  pieces of n_fft samples, hop_length apart  ->  times the window  ->  transformed, a column for each piece
    istft   back: transformed, times the window, laid over each other, divided by what the windows' squares add up to

Start with `stft`; the windows of torch.signal.windows are in `SIGNAL_WINDOWS`.
"""
import math

from ..ir import dtypes
from ..tensors.creation import get_default_dtype, tensor
from ..tensors.device import strided
from . import fourier
from .bessel import i0
from .definition import exported
from .factories import arange, linspace, ones
from .padding import pad
from .reinterpretation import real, view_as_real

SIGNAL_WINDOWS = {}


# torch.signal.windows ------------------------------------------------------------------------------------------------

def _signal_window(make):
    """A window of M places, from a function (M, periodic, dtype, ...) of at least two places."""
    name = make.__name__

    def window(M, *args, sym=True, dtype=None, layout=None, device=None, requires_grad=False, **settings):
        if M < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if layout not in (None, strided):
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        dtype = dtype or get_default_dtype()
        if dtype not in (dtypes.float32, dtypes.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
        if args:
            raise TypeError(f"{name}() takes 1 positional argument but {1 + len(args)} were given")
        made = make(M, not sym, dtype, **settings) if M > 1 else make(2, False, dtype, **settings)[:0] if M == 0 else ones(1, dtype=dtype)
        return made.requires_grad_(requires_grad)
    window.__name__ = window.__qualname__ = name
    window.__doc__ = make.__doc__ + f"""

    M: how many places.  sym: whether it is its own mirror image; otherwise it is one period, for spectra.
    https://docs.pytorch.org/docs/stable/generated/torch.signal.windows.{name}.html
    """
    SIGNAL_WINDOWS[name] = window
    return window


def _steps(M, start, step, dtype):
    return linspace(start, start + (M - 1) * step, M, dtype=dtype)


@_signal_window
def general_cosine(M, periodic, dtype, *, a):
    """a[0] - a[1] cos(k) + a[2] cos(2k) - ..., with k from 0 to 2 pi."""
    if not isinstance(a, (list, tuple)) or not a:
        raise TypeError("Coefficients must be a list/tuple" if a or a is None else "Coefficients cannot be empty")
    k = _steps(M, 0, 2 * math.pi / (M if periodic else M - 1), dtype)
    signs = tensor([(-1) ** i * w for i, w in enumerate(a)], dtype=dtype)
    i = arange(len(a), dtype=dtype)
    return (signs.unsqueeze(-1) * (i.unsqueeze(-1) * k).cos()).sum(0)


@_signal_window
def general_hamming(M, periodic, dtype, *, alpha=0.54):
    """alpha - (1 - alpha) cos(k), with k from 0 to 2 pi."""
    return SIGNAL_WINDOWS["general_cosine"](M, a=[alpha, 1 - alpha], sym=not periodic, dtype=dtype)


@_signal_window
def hamming(M, periodic, dtype):
    """0.54 - 0.46 cos(k), with k from 0 to 2 pi."""
    return SIGNAL_WINDOWS["general_cosine"](M, a=[0.54, 1 - 0.54], sym=not periodic, dtype=dtype)


@_signal_window
def hann(M, periodic, dtype):
    """(1 - cos(k)) / 2, with k from 0 to 2 pi."""
    return SIGNAL_WINDOWS["general_cosine"](M, a=[0.5, 0.5], sym=not periodic, dtype=dtype)


@_signal_window
def blackman(M, periodic, dtype):
    """0.42 - 0.5 cos(k) + 0.08 cos(2k), with k from 0 to 2 pi."""
    return SIGNAL_WINDOWS["general_cosine"](M, a=[0.42, 0.5, 0.08], sym=not periodic, dtype=dtype)


@_signal_window
def nuttall(M, periodic, dtype):
    """Nuttall's sum of four cosines (1981), whose side lobes are smallest."""
    return SIGNAL_WINDOWS["general_cosine"](M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=not periodic, dtype=dtype)


@_signal_window
def bartlett(M, periodic, dtype):
    """A triangle: 1 - |k|, with k from -1 to 1."""
    return 1 - _steps(M, -1, 2 / (M if periodic else M - 1), dtype).abs()


@_signal_window
def cosine(M, periodic, dtype):
    """Half a period of the sine."""
    step = math.pi / (M + 1 if periodic else M)
    return _steps(M, 0.5 * step, step, dtype).sin()


@_signal_window
def exponential(M, periodic, dtype, *, center=None, tau=1.0):
    """exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if center is not None and not periodic:
        raise ValueError("Center must be None for symmetric windows")
    center = (M if periodic else M - 1) / 2.0 if center is None else center
    return _steps(M, -center / tau, 1 / tau, dtype).abs().neg().exp()


@_signal_window
def gaussian(M, periodic, dtype, *, std=1.0):
    """exp(-(n - middle)^2 / (2 std^2))."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    step = 1 / (std * math.sqrt(2))
    k = _steps(M, -(M if periodic else M - 1) / 2.0 * step, step, dtype)
    return (-k * k).exp()


@_signal_window
def kaiser(M, periodic, dtype, *, beta=12.0):
    """i0(beta sqrt(1 - k^2)) / i0(beta), with k from -1 to 1."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    step = 2.0 * beta / (M if periodic else M - 1)
    k = linspace(-beta, min(beta, -beta + (M - 1) * step), M, dtype=dtype)
    return i0((beta * beta - k * k).sqrt()) / i0(tensor(float(beta), dtype=dtype))


# torch.hann_window and the like ---------------------------------------------------------------------------------------

def _window(name, formula, says, **defaults):
    """A window function by the older name: `formula(n, length, ...)` of the places n of a symmetric window."""
    def window(window_length, periodic=True, *args, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
               **settings):
        if window_length < 0:
            raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
        dtype = dtype or get_default_dtype()
        if dtype.kind != "f":
            raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
        settings = defaults | dict(zip(defaults, args)) | settings
        if window_length <= 1:
            return ones(window_length, dtype=dtype, requires_grad=requires_grad)
        length = window_length + periodic
        made = formula(arange(length, dtype=dtype), length, **settings)[:window_length]
        return made.contiguous().requires_grad_(requires_grad)
    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"""{says}, of `window_length` places; `periodic`: one period of it, for spectra, instead of its own mirror image.
    https://docs.pytorch.org/docs/stable/generated/torch.{name}.html
    """
    return exported(window)


def _hamming(n, length, alpha, beta):
    return alpha - beta * (n * (2 * math.pi / (length - 1))).cos()


def _blackman(n, length):
    k = n * (math.pi / (length - 1))
    return (k * 4).cos() * 0.08 - (k * 2).cos() * 0.5 + 0.42


def _kaiser(n, length, beta):
    k = n * (2.0 / (length - 1)) - 1
    return i0(beta * (1 - k * k).clamp(min=0).sqrt()) / i0(tensor(float(beta), dtype=n.dtype))


hann_window = _window("hann_window", lambda n, length: _hamming(n, length, 0.5, 0.5), "(1 - cos(k)) / 2, with k from 0 to 2 pi")
hamming_window = _window("hamming_window", _hamming, "alpha - beta cos(k), with k from 0 to 2 pi", alpha=0.54, beta=0.46)
blackman_window = _window("blackman_window", _blackman, "0.42 - 0.5 cos(k) + 0.08 cos(2k), with k from 0 to 2 pi")
bartlett_window = _window("bartlett_window", lambda n, length: 1 - (n * (2.0 / (length - 1)) - 1).abs(), "A triangle")
kaiser_window = _window("kaiser_window", _kaiser, "i0(beta sqrt(1 - k^2)) / i0(beta), with k from -1 to 1", beta=12.0)


# Short-time transforms -------------------------------------------------------------------------------------------------

def _settings(name, n_fft, hop_length, win_length, window):
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if hop_length <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length}")
    if window is not None and (window.ndim != 1 or window.shape[0] != win_length):
        raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
                           f"{list(map(int, window.shape))}")
    return hop_length, win_length


def _padded_window(window, win_length, n_fft, dtype):
    window = ones(win_length, dtype=dtype) if window is None else window
    left = (n_fft - win_length) // 2
    return pad(window, (left, n_fft - win_length - left)) if win_length < n_fft else window


@exported(method=True)
def stft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False, onesided=None,
         return_complex=None, align_to_window=None):
    """The transforms of windowed pieces of a signal: (batch, frequencies, pieces), complex.

    input: (batch, samples) or (samples,).  n_fft: samples of a piece.  center: piece t is around sample t * hop_length, for which the
    signal is padded.  onesided: only the first n_fft // 2 + 1 frequencies (default: of real signals).
    RuntimeError for settings that do not fit.  https://docs.pytorch.org/docs/stable/generated/torch.stft.html
    """
    if input.dtype.kind not in "fc":
        raise RuntimeError(f"stft: expected a tensor of floating point or complex values, but got {input.dtype}")
    if not 1 <= input.ndim <= 2:
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {input.ndim}D")
    is_real = input.dtype.kind == "f" and (window is None or window.dtype.kind != "c")
    if return_complex is None:
        if is_real:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs, and will further require that "
                               "return_complex=True in a future PyTorch release.")
        return_complex = True
    onesided = is_real if onesided is None else onesided
    if center and align_to_window is not None:
        raise RuntimeError("stft: align_to_window should only be set when center = false")
    x = input if input.ndim == 2 else input.unsqueeze(0)
    if center:
        x = pad(x.unsqueeze(1), (n_fft // 2, n_fft // 2), mode=pad_mode).squeeze(1)
    elif align_to_window:
        left = ((win_length or n_fft) - n_fft) // 2
        x = pad(x, (-left, -left))
    if not 0 < n_fft <= x.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {int(x.shape[1])}, but got n_fft={n_fft}")
    hop_length, win_length = _settings("stft", n_fft, hop_length, win_length, window)
    pieces = x.unfold(-1, n_fft, hop_length)
    if window is not None or win_length < n_fft:
        pieces = pieces * _padded_window(window, win_length, n_fft, x.dtype.to_real())
    if onesided and pieces.dtype.kind == "c":
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    out = fourier.rfft(pieces, norm=norm) if onesided else fourier.fft(pieces, norm=norm)
    out = out.transpose(1, 2)
    out = out if input.ndim == 2 else out.squeeze(0)
    return out if return_complex else view_as_real(out.contiguous())


@exported(method=True)
def istft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None, length=None,
          return_complex=False):
    """The signal whose `stft` this is, as near as can be: (batch, samples).

    input: (batch, frequencies, pieces), complex.  length: how many samples.  RuntimeError where the windows leave a sample uncovered.
    https://docs.pytorch.org/docs/stable/generated/torch.istft.html
    """
    if input.dtype.kind != "c":
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.")
    if not 2 <= input.ndim <= 3 or 0 in input.shape:
        raise RuntimeError(f"istft: expected a non-empty tensor with 2 or 3 dimensions, but got {list(map(int, input.shape))}")
    x = input if input.ndim == 3 else input.unsqueeze(0)
    places = int(x.shape[1])
    onesided = places != n_fft if onesided is None else onesided
    if places != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(f"istft: expected {n_fft // 2 + 1 if onesided else n_fft} frequencies for n_fft={n_fft}, but got {places}")
    hop_length, win_length = _settings("istft", n_fft, hop_length, win_length, window)
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    window = _padded_window(window, win_length, n_fft, x.dtype.to_real())
    norm = "ortho" if normalized else None
    x = x.transpose(1, 2)
    pieces = fourier.irfft(x, n_fft, norm=norm) if onesided else fourier.ifft(x, norm=norm)
    if not onesided and not return_complex:
        pieces = real(pieces)
    count = int(pieces.shape[1])
    samples = n_fft + hop_length * (count - 1)
    y = _overlaid(pieces * window, samples, hop_length)
    squares = _overlaid((window * window).expand(1, count, n_fft), samples, hop_length)
    start = n_fft // 2 if center else 0
    end = samples - (n_fft // 2 if center else 0) if length is None else min(start + length, samples)
    y, squares = y[:, start:end], squares[:, start:end]
    if squares.abs().min().item() < 1e-11:
        raise RuntimeError("window overlap add min: 1")
    y = y / squares
    if length is not None and end - start < length:
        y = pad(y, (0, length - (end - start)))
    return y if input.ndim == 3 else y.squeeze(0)


def _overlaid(pieces, samples, hop_length):
    """Pieces laid over each other, each `hop_length` behind the one before, and added up."""
    batch, count, size = map(int, pieces.shape)
    where = (arange(count).unsqueeze(1) * hop_length + arange(size)).reshape(-1)
    return pieces.new_zeros((batch, samples)).index_add(1, where, pieces.reshape(batch, -1))
