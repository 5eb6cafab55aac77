"""torch.utils: data loading (data/) and hook handles (hooks.py)."""
