"""torch.utils: data loading (data/), hooks.py (the name of the handle that hooks have), and gradients.py, which nn
and optim share.
"""
