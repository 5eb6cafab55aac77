"""The shape of a tensor, as users see it: a tuple of ints that prints like PyTorch's."""
from ..ir.extents import product


class Size(tuple):
    """`torch.Size`: a tuple of dimension extents.

    >>> Size([2, 3])
    torch.Size([2, 3])
    """

    __slots__ = ()

    def numel(self):
        """The number of elements."""
        return product(self)

    def __repr__(self):
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index):
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return Size(tuple(other) + tuple(self))

    def __mul__(self, n):
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)
