"""L-BFGS: Newton's method with a Hessian that is only known from the last steps and gradients.

    LBFGS.step      iterations: direction, step length, move, look
    _direction      minus the inverse Hessian times the gradient, from the pairs remembered
    strong_wolfe    a step length that lowers the loss enough and where the slope has become flat enough

All scalars are Python numbers: each is looked at, and so is every iteration the same few traces however long the memory has become.
"""
import math
from typing import Any, NamedTuple

import rushlight as torch

from .optimizer import Optimizer, number, rate_of


class LBFGS(Optimizer):
    """Liu and Nocedal, On the limited memory BFGS method for large scale optimization (1989).

        direction = -H gradient          parameters += t direction          t = lr, or found by a line search ("strong_wolfe")

    `step(closure)` makes up to `max_iter` such iterations and calls `closure`, which computes the loss and its gradients again, up
    to `max_eval` times (1.25 max_iter).  It ends early when the largest gradient is at most `tolerance_grad`, or the step or the loss
    change by no more than `tolerance_change`.  H follows from the last `history_size` pairs of steps and gradient differences.
    All parameters are one vector, so there is one group: https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html.
    """

    def __init__(self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100,
                 line_search_fn=None):
        if not 0.0 <= rate_of(lr):
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        })
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure):
        """Minimize; returns the loss at the start."""
        if len(self.param_groups) != 1:
            raise AssertionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")
        group = self.param_groups[0]
        with torch.no_grad():
            return self._minimize(torch.enable_grad()(closure), group, self.state[group["params"][0]])

    def _minimize(self, closure, group, state):
        lr, tolerance_grad, tolerance_change = number(group["lr"]), group["tolerance_grad"], group["tolerance_change"]
        searches = group["line_search_fn"]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss, gradient, evaluations = float(first_loss), self._gradient(), 1
        state["func_evals"] += 1
        if largest(gradient) <= tolerance_grad:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1)
                t = min(1.0, 1.0 / gradient.abs().sum().item()) * lr
            else:
                _remember(gradient, state, group["history_size"])
                state["d"] = _direction(gradient, state, group["history_size"])
                t = lr
            direction = state["d"]
            state.update(t=t, prev_flat_grad=gradient.clone(), prev_loss=loss)
            slope = gradient.dot(direction).item()
            if slope > -tolerance_change:
                break

            made = 0  # evaluations
            if searches is None:
                self._move(t, direction)
                if iteration != group["max_iter"]:
                    loss, gradient, made = float(closure()), self._gradient(), 1
            elif searches == "strong_wolfe":
                start = Point(0, loss, gradient, slope)
                point, made = strong_wolfe(self._along(closure, direction), start, t, direction, group["max_eval"] - evaluations)
                t, loss, gradient, _ = point
                state["t"] = t
                self._move(t, direction)
            else:
                raise RuntimeError("only 'strong_wolfe' is supported")
            evaluations += made
            state["func_evals"] += made
            if (iteration == group["max_iter"] or evaluations >= group["max_eval"] or largest(gradient) <= tolerance_grad
                    or abs(t) * largest(direction) <= tolerance_change or abs(loss - state["prev_loss"]) < tolerance_change):
                break
        return first_loss

    def _gradient(self):
        """All gradients as one vector; zeros where there is none."""
        parts = []
        for parameter in self.param_groups[0]["params"]:
            part = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parts.append((torch.view_as_real(part) if part.is_complex() else part).reshape(-1))
        return torch.cat(parts)

    def _move(self, t, direction):
        """All parameters t steps along a direction."""
        end = 0
        for parameter in self.param_groups[0]["params"]:
            parameter = torch.view_as_real(parameter) if parameter.is_complex() else parameter
            start, end = end, end + parameter.numel()
            parameter.add_(direction[start:end].view_as(parameter), alpha=t)

    def _along(self, closure, direction):
        """The function of t that gives the point t steps along a direction from here; it comes back here."""
        parameters = self.param_groups[0]["params"]
        here = [parameter.clone() for parameter in parameters]

        def point(t):
            self._move(t, direction)
            loss, gradient = float(closure()), self._gradient()
            for parameter, value in zip(parameters, here):
                parameter.copy_(value)
            return Point(t, loss, gradient, gradient.dot(direction).item())
        return point


def largest(vector):
    """Its largest absolute value."""
    return vector.abs().max().item()


def _remember(gradient, state, history_size):
    """Note the last step and how the gradient has changed over it, if the loss curves upwards there."""
    difference, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = difference.dot(step).item()
    if curvature > 1e-10:
        history = state["old_dirs"], state["old_stps"], state["ro"]
        for memory, new in zip(history, (difference, step, 1.0 / curvature)):
            if len(memory) == history_size:
                memory.pop(0)
            memory.append(new)
        state["H_diag"] = curvature / difference.dot(difference).item()


def _direction(gradient, state, history_size):
    """-H gradient by the two-loop recursion: back through what is remembered, and forth again."""
    differences, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    shares = state.setdefault("al", [None] * history_size)
    direction = -gradient
    for i in reversed(range(len(steps))):
        shares[i] = steps[i].dot(direction).item() * float(ro[i])
        direction.add_(differences[i], alpha=-shares[i])
    direction.mul_(float(state["H_diag"]))
    for i, step in enumerate(steps):
        share = differences[i].dot(direction).item() * float(ro[i])
        direction.add_(step, alpha=shares[i] - share)
    return direction


class Point(NamedTuple):
    """A point of the line: its distance, and loss, gradient and slope (along the line) there."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(at, start, t, direction, most, c1=1e-4, c2=0.9, tolerance_change=1e-9):
    """A point of the line that meets the strong Wolfe conditions, and how often the loss was evaluated, at most about `most` times.

        loss(t) <= loss(0) + c1 t slope(0)          |slope(t)| <= c2 |slope(0)|

    `at(t)` gives the Point, `t` is the first to try.  Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
    """
    def is_high(point):
        return point.loss > start.loss + c1 * point.t * start.slope

    def is_flat(point):
        return abs(point.slope) <= -c2 * start.slope

    # 1. Go on until the point is met or lies behind: between the last two.
    before, point, evaluations, tries, found = start, at(t), 1, 0, False
    bracket = None
    while tries < most and bracket is None:
        if is_high(point) or (tries > 1 and point.loss >= before.loss):
            bracket = [before, point]
        elif is_flat(point):
            bracket, found = [point], True
        elif point.slope >= 0:
            bracket = [before, point]
        else:
            further = lowest_of_cubic(before, point, (point.t + 0.01 * (point.t - before.t), point.t * 10))
            before, point = point, at(further)
            evaluations += 1
            tries += 1
    if bracket is None:
        bracket = [start, point]

    # 2. Draw the two ends together.
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    reach, is_slow = largest(direction), False
    while not found and tries < most:
        left, right = sorted((bracket[0].t, bracket[1].t))
        if (right - left) * reach < tolerance_change:
            break
        t = lowest_of_cubic(*bracket)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            is_slow = False
        elif is_slow or t >= right or t <= left:  # a second time near the end, or past it
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            is_slow = False
        else:
            is_slow = True
        point = at(t)
        evaluations += 1
        tries += 1
        if is_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if is_flat(point):
                found = True
            elif point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
    return bracket[low], evaluations


def lowest_of_cubic(a, b, bounds=None):
    """Where the cubic through two points with their slopes is lowest, within bounds (else between the points)."""
    left, right = sorted((a.t, b.t)) if bounds is None else bounds
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (left + right) / 2.0
    d2 = math.sqrt(square)
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2)), left), right)
