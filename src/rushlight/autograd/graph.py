"""torch.autograd.graph: the graph of calls, and what is kept for backward.

    register_multi_grad_hook((a, b), lambda grads: ...)      called once, when the gradients of both have been computed
"""
from .engine import GradientEdge
from .nodes import AccumulateGrad, Node
from .saving import disable_saved_tensors_hooks, saved_tensors_hooks


def get_gradient_edge(tensor):
    """Where the gradient of a tensor goes: (node, which of its results).  RuntimeError where it goes nowhere."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    if tensor.grad_fn is None:
        return GradientEdge(tensor.view_as(tensor).grad_fn.next_functions[0][0], 0)
    return GradientEdge(tensor.grad_fn, tensor.output_nr)


class save_on_cpu(saved_tensors_hooks):
    """Inside, what is saved for backward lies in main memory; it does so anyway."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda tensor: tensor.cpu(), lambda tensor: tensor)


class _Handles:
    def __init__(self, handles):
        self.handles = handles

    def remove(self):
        """Call it no more."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call `fn` with the gradients of the tensors, once all have been computed ("all"), or with the first of them ("any").

    Where a backward does not reach one of them, the hook waits for the next.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors, arrived = list(tensors), {}

    def hook_of(i):
        def hook(grad):
            if mode == "any":
                if not arrived:
                    fn(grad)
            arrived[i] = grad
            if len(arrived) == len(tensors):
                grads = [arrived[j] for j in range(len(tensors))]
                arrived.clear()
                if mode == "all":
                    fn(grads)
        return hook
    return _Handles([tensor.register_hook(hook_of(i)) for i, tensor in enumerate(tensors)])


__all__ = ["AccumulateGrad", "GradientEdge", "Node", "disable_saved_tensors_hooks",
            "get_gradient_edge", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]
