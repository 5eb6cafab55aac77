"""Floor 3: the tensor that users hold: its memory, its views, its looks.

    tensor.py     Tensor: what it is and where it lies; operators attach their methods to it from the floor above
    size.py       Size, the shape that users see
    tape.py       what a tensor carries for autograd: grad, hooks, history
    creation.py   tensors from Python numbers, lists and NumPy arrays; exports to NumPy
    bridge.py     Tensor's methods for NumPy, DLPack, printing
    storages.py   UntypedStorage, TypedStorage, torch.FloatStorage ...
    pickling.py   pickle, copy, deepcopy
    device.py     device, layout, memory_format
    legacy.py     torch.FloatTensor and its like
    dispatch.py   `__torch_function__`: who takes a call over
    meta.py       tensors on "meta": shapes without memory
    explaining.py torch.explain
    printing.py   repr, to PyTorch's letter

Start with tensor.py.
"""
