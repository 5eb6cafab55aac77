"""torch.utils: data loading (data/), hook handles (hooks.py), and gradients.py, which nn and optim share."""
