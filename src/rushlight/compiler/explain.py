"""A plan as text: kernels in running order with their loops as pseudo-code, host steps by name."""


def program(plan, integers):
    """The text of a whole plan."""
    return "\n".join(f"k{i}: {s}" for i, s in enumerate(plan.steps))
