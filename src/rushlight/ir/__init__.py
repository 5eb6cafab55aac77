"""Floor 0: what a computation *is*: dtypes, symbolic extents, nodes of some forty primitives, and their meaning in NumPy.

    dtypes.py      DType and PyTorch's promotion rules
    limits.py      finfo and iinfo
    extents.py     Extent: an integer that is known by name, with the guards its comparisons asked
    graph.py       Node, and one constructor for each primitive, which infers shape and dtype
    reference.py   what each primitive means, in a line or three of NumPy

Start with graph.py.  Nothing here knows a tensor, a device or a compiler.
"""
