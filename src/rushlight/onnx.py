"""torch.onnx: there is no export.  What libraries say at their import, about how their operators are to be exported, is taken; `export` and its
like say that they are not there."""
from ._paths import ABSENT, Absent, open_below

_WHY = ABSENT["onnx.errors"][0]
for _name in """ExportableModule JitScalarType ONNXProgram OnnxExporterError OperatorExportTypes TrainingMode export dynamo_export
        InputObserver""".split():
    globals()[_name] = Absent(_name, (), {"__module__": __name__, "__doc__": _WHY, "reason": _WHY})


def is_in_onnx_export():
    """Whether a model is being exported: no."""
    return False


def register_custom_op_symbolic(symbolic_name, symbolic_fn, opset_version):
    """How an operator of one's own would be exported; taken, and never asked for."""


def unregister_custom_op_symbolic(symbolic_name, opset_version):
    """Forget what `register_custom_op_symbolic` was told."""


def parse_args(*descriptors):
    """torch.onnx.symbolic_helper.parse_args: a decorator, which changes nothing."""
    return lambda function: function


quantized_args = parse_args
__getattr__ = open_below(__name__)
