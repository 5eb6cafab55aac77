"""torch.nn.functional: layers as functions.  Their definitions are operators and live in operators/, one place each."""
from ..operators.functional import *  # noqa: F403
from ..operators.functional import NAMESPACE as _namespace
from ..tensors.pickling import answer_by_name as _answer_by_name

_answer_by_name(__name__, _namespace)
