"""Fourier transforms, windows and spectrograms: against NumPy, and against what defines them."""
import numpy as np
import pytest

import rushlight as torch


def numbers(*shape, complex=False, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=shape)
    return x + 1j * random.normal(size=shape) if complex else x


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_transforms_are_those_of_numpy(name, norm):
    for shape in [(6,), (5,), (3, 4), (2, 1, 7)]:
        x = numbers(*shape, complex=name not in ("rfft", "ihfft"))
        for n in (None, 1, 4, 9):
            for dim in (-1, 0):
                if name in ("irfft", "hfft") and n is None and shape[dim] == 1:
                    continue
                wanted = getattr(np.fft, name)(x, n, dim, norm)
                np.testing.assert_allclose(getattr(torch.fft, name)(torch.tensor(x), n, dim, norm).numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "fft2", "irfft2"])
def test_transforms_along_several_dimensions(name):
    x = numbers(4, 5, 6)
    for s, dim in [(None, (0, 1)), ((3, 8), (-2, -1)), ((2, 7), (2, 0))]:
        wanted = getattr(np.fft, name)(x, s, dim)
        np.testing.assert_allclose(getattr(torch.fft, name)(torch.tensor(x), s, dim).numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("transform", [
    lambda x: torch.fft.fft(x, 4), lambda x: torch.fft.rfft(x, norm="ortho"), lambda x: torch.fft.irfft(torch.fft.rfft(x), 7),
    lambda x: torch.fft.irfft(x.to(torch.complex128), 6), lambda x: torch.fft.ihfft(x, 9), lambda x: torch.fft.hfft(x.to(torch.complex128), 5),
    lambda x: torch.stft(x, 4, window=torch.hann_window(4, dtype=torch.float64), return_complex=True)])
def test_gradients_are_those_of_small_steps(transform):
    x = torch.tensor(numbers(6), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: transform(x).abs().square(), (x,))


def test_frequencies_and_shifts():
    assert torch.fft.fftfreq(5, 0.5).tolist() == pytest.approx([0, 0.4, 0.8, -0.8, -0.4])
    assert torch.fft.rfftfreq(4).tolist() == [0, 0.25, 0.5]
    x = torch.arange(15).view(3, 5)
    assert torch.equal(torch.fft.ifftshift(torch.fft.fftshift(x)), x) and torch.fft.fftshift(torch.arange(5)).tolist() == [3, 4, 0, 1, 2]


@pytest.mark.parametrize("name, middle", [("hann", 1), ("hamming", 1), ("blackman", 1), ("nuttall", 1), ("bartlett", 1), ("cosine", 1),
                                          ("gaussian", 1), ("exponential", 1), ("kaiser", 1)])
def test_windows_mirror_themselves_and_a_period_is_the_next_longer_one(name, middle):
    window = getattr(torch.signal.windows, name)
    w = window(9, dtype=torch.float64)
    assert w[4].item() == pytest.approx(middle, abs=1e-6) and torch.allclose(w, w.flip(0))
    assert torch.allclose(window(8, sym=False, dtype=torch.float64), w[:8]) or name in ("cosine", "gaussian", "exponential")
    assert window(1).tolist() == [1] and window(0).shape == (0,)
    with pytest.raises(ValueError, match="non-negative"):
        window(-1)


def test_older_names_of_windows():
    assert torch.hann_window(4).tolist() == pytest.approx([0, 0.5, 1, 0.5]) and torch.bartlett_window(5, periodic=False).tolist() == [0, 0.5, 1, 0.5, 0]
    assert torch.allclose(torch.hamming_window(6), torch.signal.windows.hamming(6, sym=False))
    assert torch.allclose(torch.kaiser_window(6, beta=3.0), torch.signal.windows.kaiser(6, beta=3.0, sym=False))


@pytest.mark.parametrize("settings", [{}, {"normalized": True}, {"onesided": False}, {"hop_length": 5}, {"win_length": 12}])
@pytest.mark.parametrize("shape", [(60,), (2, 45)])
def test_a_signal_comes_back_from_its_spectrogram(shape, settings):
    x, window = torch.tensor(numbers(*shape)), torch.hann_window(settings.get("win_length", 16), dtype=torch.float64)
    y = torch.stft(x, 16, window=window, return_complex=True, **settings)
    back = torch.istft(y, 16, window=window, length=shape[-1], **settings)
    covered = (y.shape[-1] - 1) * settings.get("hop_length", 4)
    np.testing.assert_allclose(back[..., :covered].numpy(), x[..., :covered].numpy(), atol=1e-10)


def test_a_column_of_a_spectrogram_is_the_transform_of_a_piece():
    x = numbers(40)
    y = torch.stft(torch.tensor(x), 8, 4, center=False, return_complex=True)
    np.testing.assert_allclose(y[:, 3].numpy(), np.fft.rfft(x[12:20]), atol=1e-12)


@pytest.mark.parametrize("call, text", [
    (lambda x: torch.fft.rfft(x.to(torch.complex64)), "rfft expects a real input"), (lambda x: torch.fft.fft(x, 0), "Invalid number of data points"),
    (lambda x: torch.fft.fft(x, norm="half"), "Invalid normalization mode"), (lambda x: torch.stft(x, 8), "return_complex"),
    (lambda x: torch.stft(x, 8, window=torch.ones(5), return_complex=True), "win_length=8"),
    (lambda x: torch.istft(x, 8), "complex-valued")])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(torch.ones(20))
