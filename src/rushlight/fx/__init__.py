"""torch.fx: a model's forward as a graph that programs can read and change, and Python code again.

    traced = symbolic_trace(model)          run forward on proxies, which note what is done with them     tracing.py   start here
    for node in traced.graph.nodes: ...     the notes: an operation each                                  node.py, graph.py
    traced.recompile(); traced(x)           a module whose forward is written from the graph               graph_module.py
    Interpreter(traced).run(x)              the graph run node by node                                    interpreter.py

It has nothing to do with the graph that is compiled when the model runs.  https://docs.pytorch.org/docs/stable/fx.html
"""
from .._paths import open_below
from .graph import Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .tracing import Proxy, TraceError, Tracer, symbolic_trace, wrap

__getattr__ = open_below(__name__)
